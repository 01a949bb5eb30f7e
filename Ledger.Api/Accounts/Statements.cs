using System.ComponentModel;
using System.Globalization;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Limits;
using Ledger.Api.Requests;
using Ledger.Core.Currencies;
using Ledger.Core.Journal;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Net.Http.Headers;

namespace Ledger.Api.Accounts;

/// <summary>The statement of an account: its entries of a period between an opening and a closing balance.</summary>
public static class Statements
{
    private const string Csv = "text/csv";

    // Transactions that are under way end within milliseconds.
    private static readonly TimeSpan HorizonPatience = TimeSpan.FromSeconds(2);

    private const string ByPosting = "posted";
    private const string ByEffect = "effective";

    public static void AddStatements(this IHostApplicationBuilder builder) => builder.Services.AddSingleton<StatementQueries>();

    public static void MapStatements(this IEndpointRouteBuilder routes) => routes.MapGet("/accounts/{id:guid}/entries", GetAsync).WithName("GetStatement")
        .RequireAuthorization(Policies.Read).RequireRateLimiting(RateLimits.PerUser).WithTags("Accounts")
        .WithSummary("Get the statement of an account")
        .WithDescription(
            "The entries posted at or after `from` and before `to`, in the order of posting, with the balances before the first and after the last. With `by=effective`, "
            + "the times, the order and the balances are those of effect: a back-dated entry stands where it takes effect. "
            + "The opening balance and the amounts of all pages sum to the closing balance. Without `from`, the statement starts with the account; without `to`, it ends with the "
            + "last entry that the first page knows of. Later pages keep that end: new entries change none of them. A period that ends in the past has the same statement whenever it is asked for; "
            + "by effect, once the books are closed until its end. A time in the future is refused.\n\n"
            + "`Accept: text/csv` gets the whole period as CSV (RFC 4180, UTF-8), without pages. The first row has the opening balance and the last row the closing balance: a file without the last row is incomplete. "
            + "In the reference, an apostrophe stands before each `=`, `+`, `-`, `@` and `'` that a spreadsheet could take for the start of a cell.\n\n"
            + "A user reads its own accounts; another user's account is 404. Service accounts with scope read, operators and auditors read every account, "
            + "or with `onBehalfOf` those of that user.")
        .WithMetadata(new AnswersCsv())
        .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status403Forbidden)
        .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status429TooManyRequests).ProducesProblem(StatusCodes.Status503ServiceUnavailable);

    private static async Task<Results<Ok<StatementPage>, StatementCsv, ProblemHttpResult>> GetAsync(
        Guid id, HttpContext context, OnBehalfOf users, StatementQueries statements, CurrencyCatalog catalog, Horizon horizon, CancellationToken cancellationToken,
        string? from = null, string? to = null, string? by = null, string? cursor = null, string? limit = null, string? onBehalfOf = null)
    {
        context.Response.Headers.Append(HeaderNames.Vary, HeaderNames.Accept);
        var isCsv = PrefersCsv(context.Request);
        var query = new QueryReader();
        var start = query.Time("from", from)?.UtcDateTime;
        var end = query.Time("to", to)?.UtcDateTime;
        var place = query.Cursor<StatementPlace>("cursor", cursor, StatementPlace.TryParse);
        var pageSize = query.PageSize(limit);
        var isByEffect = by == ByEffect;
        if (by is not (null or ByPosting or ByEffect))
            query.Errors["by"] = [$"{Sent.Quoted(by)} was sent. Must be {ByPosting} or {ByEffect}."];
        if (start > end)
            query.Errors["from"] = [$"{Sent.Quoted(from!)} is after to."];
        if (place is { } sent && ((end is not null && end != sent.End) || isByEffect != sent.Known is not null))
            query.Errors["cursor"] = ["Is of another statement. Must be the nextCursor of the previous page, with the same from, to and by."];
        foreach (var (name, value) in new[] { ("cursor", cursor), ("limit", limit) })
        {
            if (isCsv && value is not null)
                query.Errors[name] = ["CSV has no pages: the file has the whole period. Leave the parameter out."];
        }
        if (query.Errors.Count > 0)
            return Problem.Invalid(context, query.Errors);

        var (reader, problem) = await ReaderAsync(context, users, onBehalfOf);
        if (problem is not null)
            return problem;
        // An account's entries are committed in the order of their times, so only a time that a request names can still be open.
        if ((end ?? start) is { Ticks: > 0 } time
            && await horizon.ReachAsync(time - TimeSpan.FromMicroseconds(1), HorizonPatience, cancellationToken) is not HorizonResult.Final and var reached)
        {
            return reached == HorizonResult.Future
                ? Problem.Invalid(context, new Dictionary<string, string[]> { [end is null ? "from" : "to"] = ["Must not be in the future."] })
                : Problem.Of(context, StatusCodes.Status503ServiceUnavailable, "unavailable", "A transaction that is not decided yet may change this statement. Try again.");
        }
        var found = isByEffect
            ? await statements.FindByEffectAsync(reader, id, start, end ?? place?.End, place?.Last, place?.Known, cancellationToken)
            : await statements.FindAsync(reader, id, start, end ?? place?.End, cancellationToken);
        if (found is not { } statement)
            return Problem.NotFound(context);
        var currency = (await catalog.GetAsync([statement.Currency], cancellationToken))[statement.Currency];
        if (isCsv)
            return new StatementCsv(statements, reader, statement, currency);

        var entries = await statements.ReadAsync(reader, statement, place?.Last ?? statement.Start, statement.Reached, pageSize + 1, cancellationToken);
        return TypedResults.Ok(new StatementPage(
            id, currency.Code, currency.FormatAmount(statement.Opening), currency.FormatAmount(statement.Closing),
            [.. entries.Take(pageSize).Select(entry => StatementEntryResponse.Of(entry, currency))],
            entries.Count > pageSize ? new StatementPlace(statement.End, statement.Known, entries[pageSize - 1].Place).ToString() : null));
    }

    // A service account has no accounts of its own, and staff look at any: both name an account by its id alone.
    private static async ValueTask<(StatementReader Reader, ProblemHttpResult? Problem)> ReaderAsync(HttpContext context, OnBehalfOf users, string? onBehalfOf)
    {
        var caller = context.Caller();
        if (onBehalfOf is null && caller.ReadsForOthers)
            return (new(caller.Id, null), null);
        var (acting, problem) = await users.ReadAsync(context, onBehalfOf);
        return (new(acting.Caller, acting.User), problem);
    }

    // JSON unless the client names CSV, and prefers it if it names both.
    private static bool PrefersCsv(HttpRequest request)
    {
        if (!MediaTypeHeaderValue.TryParseList(request.Headers.Accept, out var accepted))
            return false;
        return QualityOf(Csv) is > 0 and var csv && csv > QualityOf("application/json");

        double QualityOf(string mediaType) => accepted.Where(type => type.MediaType.Equals(mediaType, StringComparison.OrdinalIgnoreCase)).Select(type => type.Quality ?? 1).DefaultIfEmpty(0).Max();
    }
}

/// <summary>Marks an endpoint that answers CSV to clients that ask for it.</summary>
internal sealed class AnswersCsv;

/// <summary>A place in a statement. Times are UTC.</summary>
/// <param name="End">The time that the statement ends before.</param>
/// <param name="Known">By effect: the time that the entries of the statement were posted before. Null by posting.</param>
/// <param name="Last">The last entry of the previous page.</param>
internal readonly record struct StatementPlace(DateTime End, DateTime? Known, EntryPlace Last)
{
    /// <summary>The cursor that <see cref="TryParse"/> reads: times in microseconds since 1970, and the number of the entry.</summary>
    public override string ToString() => Known is { } known
        ? string.Create(CultureInfo.InvariantCulture, $"{Microseconds(End)}.{Microseconds(known)}.{Microseconds(Last.Time)}.{Microseconds(Last.PostedAt)}.{Last.Id}")
        : string.Create(CultureInfo.InvariantCulture, $"{Microseconds(End)}.{Microseconds(Last.PostedAt)}.{Last.Id}");

    public static bool TryParse(string? text, out StatementPlace place)
    {
        place = default;
        if (text?.Split('.') is not { Length: 3 or 5 } parts || !long.TryParse(parts[^1], NumberStyles.None, CultureInfo.InvariantCulture, out var id))
            return false;
        Span<DateTime> times = stackalloc DateTime[parts.Length - 1];
        for (var i = 0; i < times.Length; i++)
        {
            if (!TryParseTime(parts[i], out times[i]))
                return false;
        }
        var (end, postedAt) = (times[0], times[^1]);
        DateTime? known = parts.Length == 5 ? times[1] : null;
        var time = parts.Length == 5 ? times[2] : postedAt;
        if (time >= end || time > postedAt || postedAt >= (known ?? end))
            return false;
        place = new(end, known, new(time, postedAt, id));
        return true;
    }

    private static long Microseconds(DateTime time) => (time - DateTime.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;

    private static bool TryParseTime(string text, out DateTime time)
    {
        time = default;
        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var microseconds)
            || microseconds > (DateTime.MaxValue - DateTime.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond)
            return false;
        time = DateTime.UnixEpoch.AddTicks(microseconds * TimeSpan.TicksPerMicrosecond);
        return true;
    }
}

/// <summary>A page of an account's statement, in the order of posting or of effect. Amounts are in major units.</summary>
/// <param name="OpeningBalance">The balance before the first entry of the period.</param>
/// <param name="ClosingBalance">The balance after the last entry of the period, which may be on a later page.</param>
/// <param name="NextCursor">The cursor of the next page; null on the last page.</param>
public sealed record StatementPage(
    Guid AccountId, string Currency, string OpeningBalance, string ClosingBalance, IReadOnlyList<StatementEntryResponse> Items, string? NextCursor);

/// <summary>An entry of a statement.</summary>
/// <param name="Kind">The kind of its transaction.</param>
/// <param name="Amount">Major units; positive credits the account, negative debits it.</param>
/// <param name="BalanceAfter">The account's balance after this entry, in the order of the statement and in major units.</param>
/// <param name="Reference">Of its transaction.</param>
public sealed record StatementEntryResponse(
    Guid TransactionId,
    string Kind,
    string Amount,
    string BalanceAfter,
    DateTime PostedAt,
    [property: Description("When it counts; the time of posting unless the transaction says another.")] DateTime EffectiveAt,
    string? Reference)
{
    internal static StatementEntryResponse Of(StatementEntry entry, Currency currency) => new(
        entry.TransactionId, entry.Kind, currency.FormatAmount(entry.Amount), currency.FormatAmount(entry.BalanceAfter), entry.Place.PostedAt, entry.EffectiveAt, entry.Reference);
}
