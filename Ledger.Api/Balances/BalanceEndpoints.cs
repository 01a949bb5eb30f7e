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

    private const string PostedUntil = """
        left join lateral (
            select balance_after from ledger.entries where account_id = a.id and posted_at <= $3 order by posted_at desc, id desc limit 1) e on true
        """;

    public static void MapBalances(this IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/balances").RequireAuthorization(Policies.Read).RequireRateLimiting(RateLimits.PerUser).WithTags("Balances")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status401Unauthorized)
            .ProducesProblem(StatusCodes.Status403Forbidden).ProducesProblem(StatusCodes.Status404NotFound)
            .ProducesProblem(StatusCodes.Status429TooManyRequests);

        group.MapGet("", ListAsync).WithName("ListBalances")
            .WithSummary("List a user's balances")
            .WithDescription("One balance per currency that the user ever had money in: the sum over its accounts. The user is the caller, or the one in `onBehalfOf`.");
        group.MapGet("/{currency}", GetAsync).WithName("GetBalance")
            .WithSummary("Get a user's balance in a currency, now or at a time")
            .WithDescription("The sum over the user's accounts. With `at`, an RFC 3339 time: the balance after all entries posted until then, the same whenever it is asked for. "
                + "With `effectiveAt`: the balance of all entries that take effect until then; it is final once the books are closed until then. A time in the future is refused. "
                + "The user is the caller, or the one in `onBehalfOf`.");
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
            new NpgsqlBatchCommand("""
                select currency, sum(posted)::bigint, sum(held)::bigint, sum(credit_limit)::bigint
                from ledger.accounts where owner_id = $1 and kind = 'user' group by currency order by currency
                """)
            {
                Parameters = { new() { Value = acting.User } },
            });
        var totals = new List<(string Currency, long Posted, long Held, long Limit)>();
        while (await reader.ReadAsync(cancellationToken))
            totals.Add((reader.GetString(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetInt64(3)));

        var currencies = await catalog.GetAsync(totals.Select(total => total.Currency), cancellationToken);
        return TypedResults.Ok(new BalancesResponse([.. totals.Select(t => BalanceResponse.Of(currencies[t.Currency], t.Posted, t.Held, t.Limit))]));
    }

    private static async Task<Results<Ok<BalanceResponse>, ProblemHttpResult>> GetAsync(
        string currency, HttpContext context, OnBehalfOf users, NpgsqlDataSource database, CurrencyCatalog catalog, Horizon horizon, CancellationToken cancellationToken,
        string? at = null, string? effectiveAt = null, string? onBehalfOf = null)
    {
        var query = new QueryReader();
        var time = query.Time("at", at);
        if (effectiveAt is not null && at is not null)
            query.Errors["effectiveAt"] = ["Must not be sent together with at."];
        else
            time ??= query.Time("effectiveAt", effectiveAt);
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
                ? Problem.Invalid(context, new Dictionary<string, string[]> { [at is null ? "effectiveAt" : "at"] = ["Must not be in the future."] })
                : Problem.Of(context, StatusCodes.Status503ServiceUnavailable, "unavailable", "A transaction that is not decided yet may change this balance. Try again.");
        }

        var command = new NpgsqlBatchCommand(
            time is null ? """
                select coalesce(sum(posted), 0)::bigint, coalesce(sum(held), 0)::bigint, coalesce(sum(credit_limit), 0)::bigint
                from ledger.accounts where owner_id = $1 and currency = $2 and kind = 'user'
                """
            : at is not null ? $"""
                select coalesce(sum(e.balance_after), 0)::bigint, 0::bigint, 0::bigint
                from ledger.accounts a {PostedUntil}
                where a.owner_id = $1 and a.currency = $2 and a.kind = 'user'
                """
            // Nothing takes effect later than it is posted: what is missing is what was posted later and took effect until then.
            : $"""
                select coalesce(sum(coalesce(e.balance_after, 0) + coalesce(l.amount, 0)), 0)::bigint, 0::bigint, 0::bigint
                from ledger.accounts a {PostedUntil}
                left join lateral (
                    select sum(amount) as amount from ledger.entries where account_id = a.id and effective_at <= $3 and posted_at > $3) l on true
                where a.owner_id = $1 and a.currency = $2 and a.kind = 'user'
                """);
        command.Parameters.Add(new() { Value = acting.User });
        command.Parameters.Add(new() { Value = currency });
        if (time is { } then)
            command.Parameters.Add(new() { Value = then.UtcDateTime });
        await using var reader = await database.ReadForAsync(acting, cancellationToken, command);
        await reader.ReadAsync(cancellationToken);
        return TypedResults.Ok(BalanceResponse.Of(money, reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2)));
    }
}

public sealed record BalancesResponse(IReadOnlyList<BalanceResponse> Balances);

/// <summary>A balance over all accounts of a user in a currency, in major units.</summary>
/// <param name="Posted">The sum of the entries.</param>
/// <param name="Held">The sum of the holds.</param>
/// <param name="Available">Posted minus held plus the credit limits: what can be spent or held.</param>
public sealed record BalanceResponse(string Currency, string Posted, string Held, string Available)
{
    /// <summary>A balance from minor units.</summary>
    public static BalanceResponse Of(Currency currency, long posted, long held, long limit) => new(
        currency.Code, currency.FormatAmount(posted), currency.FormatAmount(held), currency.FormatAmount(posted - held + limit));
}
