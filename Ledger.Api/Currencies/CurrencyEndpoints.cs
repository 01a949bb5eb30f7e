using System.ComponentModel;
using System.Text.RegularExpressions;
using Ledger.Api.Audit;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Core.Currencies;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace Ledger.Api.Currencies;

/// <summary>The currencies of the ledger, and how operators add, enable and disable them.</summary>
public static partial class CurrencyEndpoints
{
    private const int MaxName = 100;

    public static void AddCurrencies(this IHostApplicationBuilder builder) => builder.Services.AddSingleton<CurrencyCatalog>();

    public static void MapCurrencies(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/currencies", ListAsync).AllowAnonymous().WithName("ListCurrencies").WithTags("Currencies")
            .WithSummary("List all currencies")
            .WithDescription("`exponent` is the number of decimal places of an amount. Transactions need an `enabled` currency.");

        var acting = routes.MapAdministration(Policies.Operator);
        acting.MapPost("/currencies", AddAsync).WithName("AddCurrency")
            .WithSummary("Add a currency, enabled")
            .WithDescription("The exponent of an ISO 4217 code must be ISO's. It can never be changed, because amounts are stored in minor units. 409 `currency_exists` if the code is taken.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status409Conflict);
        acting.MapPost("/currencies/{code}/enable", EnableAsync).WithName("EnableCurrency")
            .WithSummary("Enable a currency")
            .ProducesProblem(StatusCodes.Status404NotFound);
        acting.MapPost("/currencies/{code}/disable", DisableAsync).WithName("DisableCurrency")
            .WithSummary("Disable a currency; balances stay")
            .ProducesProblem(StatusCodes.Status404NotFound);
    }

    private static async Task<Ok<CurrenciesResponse>> ListAsync(CurrencyCatalog catalog, CancellationToken cancellationToken)
    {
        var currencies = await catalog.GetAsync(cancellationToken);
        return TypedResults.Ok(new CurrenciesResponse([.. currencies.Values.OrderBy(currency => currency.Code, StringComparer.Ordinal)]));
    }

    private static async Task<Results<Created<Currency>, ProblemHttpResult>> AddAsync(
        CurrencyRequest request, HttpContext context, NpgsqlDataSource database, CurrencyCatalog catalog)
    {
        var errors = new Dictionary<string, string[]>();
        if (string.IsNullOrEmpty(request.Code))
            errors["code"] = ["Is required: an ISO 4217 code, or a code of your own."];
        else if (!Code().IsMatch(request.Code))
            errors["code"] = [$"{Sent.Quoted(request.Code)} is not a currency code. Must be 3 to 12 characters of A to Z and 0 to 9, the first a letter."];
        if (string.IsNullOrEmpty(request.Name))
            errors["name"] = [$"Is required: text of at most {MaxName} characters."];
        else if (Sent.TextError(request.Name, MaxName) is { } error)
            errors["name"] = [error];
        if (request.Exponent is null)
            errors["exponent"] = ["Is required: the number of decimal places of an amount, 0 to 12."];
        else if (request.Exponent is not (>= 0 and <= 12))
            errors["exponent"] = [$"{request.Exponent} was sent. Must be 0 to 12: the number of decimal places of an amount."];
        else if (request.Code is not null && Iso4217.Currencies.GetValueOrDefault(request.Code) is { Exponent: { } exponent } && request.Exponent != exponent)
            errors["exponent"] = [$"{request.Exponent} was sent. Must be {exponent}, which ISO 4217 gives {request.Code}."];
        if (errors.Count > 0)
            return Problem.Invalid(context, errors);

        var currency = new Currency(request.Code!, request.Name!, request.Exponent!.Value, Enabled: true);
        try
        {
            await database.ExecuteAsync(
                new NpgsqlBatchCommand("insert into ledger.currencies (code, name, exponent, enabled) values ($1, $2, $3, true)")
                {
                    Parameters = { new() { Value = currency.Code }, new() { Value = currency.Name }, new() { Value = (short)currency.Exponent } },
                },
                AuditTrail.Entry(context, AuditActions.CurrencyAdded, currency.Code, new Dictionary<string, string>
                {
                    ["name"] = currency.Name,
                    ["exponent"] = currency.Exponent.ToString(System.Globalization.CultureInfo.InvariantCulture),
                }));
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UniqueViolation)
        {
            return Problem.Of(context, StatusCodes.Status409Conflict, "currency_exists", "A currency with this code exists.");
        }
        catalog.Expire();
        return TypedResults.Created($"{context.Request.PathBase}/api/v1/currencies", currency);
    }

    private static Task<Results<Ok<Currency>, ProblemHttpResult>> EnableAsync(
        string code, HttpContext context, NpgsqlDataSource database, CurrencyCatalog catalog) => SetEnabledAsync(code, true, context, database, catalog);

    private static Task<Results<Ok<Currency>, ProblemHttpResult>> DisableAsync(
        string code, HttpContext context, NpgsqlDataSource database, CurrencyCatalog catalog) => SetEnabledAsync(code, false, context, database, catalog);

    private static async Task<Results<Ok<Currency>, ProblemHttpResult>> SetEnabledAsync(
        string code, bool enabled, HttpContext context, NpgsqlDataSource database, CurrencyCatalog catalog)
    {
        if (!(await catalog.GetAsync([code], context.RequestAborted)).TryGetValue(code, out var currency))
            return Problem.NotFound(context);
        await database.ExecuteAsync(
            new NpgsqlBatchCommand("update ledger.currencies set enabled = $2 where code = $1") { Parameters = { new() { Value = code }, new() { Value = enabled } } },
            AuditTrail.Entry(context, enabled ? AuditActions.CurrencyEnabled : AuditActions.CurrencyDisabled, code));
        catalog.Expire();
        return TypedResults.Ok(currency with { Enabled = enabled });
    }

    [GeneratedRegex(@"^[A-Z][A-Z0-9]{2,11}\z")]
    private static partial Regex Code();
}

public sealed record CurrenciesResponse(IReadOnlyList<Currency> Currencies);

public sealed record CurrencyRequest(
    [property: Description("ISO 4217 code, or a code of your own: 3 to 12 characters of A to Z and 0 to 9.")] string? Code,
    [property: Description("The display name.")] string? Name,
    [property: Description("Decimal places of an amount, 0 to 12; for an ISO 4217 code as ISO gives them. Cannot be changed.")] int? Exponent);
