using Ledger.Core.Currencies;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Ledger.Api.Currencies;

/// <summary>What money there is.</summary>
public static class CurrencyEndpoints
{
    public static void MapCurrencies(this IEndpointRouteBuilder routes) =>
        routes.MapGet("/currencies", ListAsync).AllowAnonymous().WithName("ListCurrencies").WithTags("Currencies")
            .WithSummary("All currencies")
            .WithDescription("`exponent` is the number of decimal places of an amount. No money moves in one that is not `enabled`.");

    private static async Task<Ok<CurrenciesResponse>> ListAsync(CurrencyCatalog catalog, CancellationToken cancellationToken)
    {
        var currencies = await catalog.GetAsync(cancellationToken);
        return TypedResults.Ok(new CurrenciesResponse([.. currencies.Values.OrderBy(currency => currency.Code, StringComparer.Ordinal)]));
    }
}

public sealed record CurrenciesResponse(IReadOnlyList<Currency> Currencies);
