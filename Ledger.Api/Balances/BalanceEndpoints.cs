using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Limits;
using Ledger.Api.Requests;
using Ledger.Core.Currencies;
using Ledger.Core.Journal;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace Ledger.Api.Balances;

/// <summary>The balances of a user's accounts, now and in the past.</summary>
public static class BalanceEndpoints
{
    // Transactions that are under way end within milliseconds.
    private static readonly TimeSpan HorizonPatience = TimeSpan.FromSeconds(2);

    public static void MapBalances(this IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/balances").RequireAuthorization(Policies.Read).RequireRateLimiting(RateLimits.PerUser).WithTags("Balances")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status401Unauthorized)
            .ProducesProblem(StatusCodes.Status403Forbidden).ProducesProblem(StatusCodes.Status404NotFound)
            .ProducesProblem(StatusCodes.Status429TooManyRequests);

        group.MapGet("", ListAsync).WithName("ListBalances")
            .WithSummary("List a user's balances")
            .WithDescription("One balance per currency that the user ever had money in. The user is the caller, or the one in `onBehalfOf`.");
        group.MapGet("/{currency}", GetAsync).WithName("GetBalance")
            .WithSummary("Get a user's balance in a currency, now or at a time")
            .WithDescription("With `at`, an RFC 3339 time: the balance after all entries posted until then, the same whenever it is asked for; a time in the future is refused. Without an account, the balance is zero and `accountId` is null. The user is the caller, or the one in `onBehalfOf`.");
    }

    private static async Task<Results<Ok<BalancesResponse>, ProblemHttpResult>> ListAsync(
        HttpContext context, OnBehalfOf users, NpgsqlDataSource database, CurrencyCatalog catalog, CancellationToken cancellationToken,
        string? onBehalfOf = null)
    {
        var (acting, problem) = await users.ReadAsync(context, onBehalfOf);
        return problem is not null ? problem : await ListOfAsync(acting, database, catalog, cancellationToken);
    }

    /// <summary>A user's balances. The caller of this method checks the right to read them.</summary>
    internal static async Task<Ok<BalancesResponse>> ListOfAsync(
        Acting acting, NpgsqlDataSource database, CurrencyCatalog catalog, CancellationToken cancellationToken)
    {
        await using var reader = await database.ReadForAsync(
            acting, cancellationToken,
            new NpgsqlBatchCommand("select id, currency, posted, held from ledger.accounts where owner_id = $1 and kind = 'user' order by currency")
            {
                Parameters = { new() { Value = acting.User } },
            });
        var accounts = new List<(Guid Id, string Currency, long Posted, long Held)>();
        while (await reader.ReadAsync(cancellationToken))
            accounts.Add((reader.GetGuid(0), reader.GetString(1), reader.GetInt64(2), reader.GetInt64(3)));

        var currencies = await catalog.GetAsync(accounts.Select(account => account.Currency), cancellationToken);
        return TypedResults.Ok(new BalancesResponse([.. accounts.Select(a => BalanceResponse.Of(a.Id, currencies[a.Currency], a.Posted, a.Held))]));
    }

    private static async Task<Results<Ok<BalanceResponse>, ProblemHttpResult>> GetAsync(
        string currency, HttpContext context, OnBehalfOf users, NpgsqlDataSource database, CurrencyCatalog catalog, Horizon horizon, CancellationToken cancellationToken,
        string? at = null, string? onBehalfOf = null)
    {
        var query = new QueryReader();
        var time = query.Time("at", at);
        if (query.Errors.Count > 0)
            return Problem.Invalid(context, query.Errors);
        var (acting, problem) = await users.ReadAsync(context, onBehalfOf);
        if (problem is not null)
            return problem;
        if (!(await catalog.GetAsync([currency], cancellationToken)).TryGetValue(currency, out var money))
            return Problem.NotFound(context);
        if (time is { } past && await horizon.ReachAsync(past.UtcDateTime, HorizonPatience, cancellationToken) is not HorizonResult.Final and var reached)
        {
            return reached == HorizonResult.Future
                ? Problem.Invalid(context, new Dictionary<string, string[]> { ["at"] = ["Must not be in the future."] })
                : Problem.Of(context, StatusCodes.Status503ServiceUnavailable, "unavailable", "A transaction that is not decided yet may change this balance. Try again.");
        }

        var command = new NpgsqlBatchCommand(time is null
            ? "select id, posted, held from ledger.accounts where owner_id = $1 and currency = $2 and kind = 'user'"
            : """
              select a.id, coalesce(e.balance_after, 0), 0::bigint
              from ledger.accounts a
              left join lateral (
                  select balance_after from ledger.entries
                  where account_id = a.id and posted_at <= $3
                  order by posted_at desc, id desc limit 1) e on true
              where a.owner_id = $1 and a.currency = $2 and a.kind = 'user'
              """);
        command.Parameters.Add(new() { Value = acting.User });
        command.Parameters.Add(new() { Value = currency });
        if (time is { } then)
            command.Parameters.Add(new() { Value = then.UtcDateTime });
        await using var reader = await database.ReadForAsync(acting, cancellationToken, command);
        return TypedResults.Ok(await reader.ReadAsync(cancellationToken)
            ? BalanceResponse.Of(reader.GetGuid(0), money, reader.GetInt64(1), reader.GetInt64(2))
            : BalanceResponse.Of(null, money, 0, 0));
    }
}

public sealed record BalancesResponse(IReadOnlyList<BalanceResponse> Balances);

/// <summary>One account's balance, in major units.</summary>
/// <param name="AccountId">Null before the first entry in this currency.</param>
/// <param name="Posted">The sum of the account's entries.</param>
/// <param name="Held">The sum of the account's holds.</param>
/// <param name="Available">Posted minus held.</param>
public sealed record BalanceResponse(Guid? AccountId, string Currency, string Posted, string Held, string Available)
{
    /// <summary>A balance from minor units.</summary>
    public static BalanceResponse Of(Guid? account, Currency currency, long posted, long held) => new(
        account, currency.Code, currency.FormatAmount(posted), currency.FormatAmount(held), currency.FormatAmount(posted - held));
}
