using System.ComponentModel;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Limits;
using Ledger.Api.Requests;
using Ledger.Api.Transactions;
using Ledger.Core.Currencies;
using Ledger.Core.Journal;
using Ledger.Core.Transactions;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace Ledger.Api.Journal;

/// <summary>The feed: decided transactions in the order of the journal.</summary>
public static class EventEndpoints
{
    public static void AddJournal(this IHostApplicationBuilder builder)
    {
        builder.Services.AddSingleton(services => new Feed(services.GetRequiredService<NpgsqlDataSource>()));
        builder.Services.AddSingleton(services => new Horizon(services.GetRequiredService<NpgsqlDataSource>()));
    }

    public static void MapJournal(this IEndpointRouteBuilder routes) => routes.MapGet("/events", ListAsync).WithName("ListEvents")
        .RequireAuthorization(Policies.Read).RequireRateLimiting(RateLimits.PerUser).WithTags("Transactions")
        .WithSummary("Read the decided transactions in the order of the journal")
        .WithDescription("Each once, none left out. A user reads its own. Service accounts with scope read, operators and auditors read everybody's, or those of the user in `onBehalfOf`. Ask again with `after` set to `next`: "
            + "an empty page says that there is nothing new. Event ids are those of the events on RabbitMQ.")
        .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status429TooManyRequests)
        .ProducesProblem(StatusCodes.Status403Forbidden).ProducesProblem(StatusCodes.Status404NotFound);

    private static async Task<Results<Ok<EventPage>, ProblemHttpResult>> ListAsync(
        HttpContext context, OnBehalfOf users, Feed feed, CurrencyCatalog catalog, CancellationToken cancellationToken, string? after = null,
        string? limit = null, string? onBehalfOf = null)
    {
        var query = new QueryReader();
        var sequence = query.Cursor<long>("after", after, QueryReader.TryParseSequence) ?? 0;
        var pageSize = query.PageSize(limit);
        if (query.Errors.Count > 0)
            return Problem.Invalid(context, query.Errors);

        var caller = context.Caller();
        Guid? user = null;
        if (onBehalfOf is not null || !caller.ReadsForOthers)
        {
            var (acting, problem) = await users.ReadAsync(context, onBehalfOf);
            if (problem is not null)
                return problem;
            user = acting.User;
        }
        var transactions = await feed.ReadAsync(caller.Id, user, sequence, pageSize, cancellationToken);
        var currencies = await catalog.GetAsync(TransactionResponse.CurrenciesOf(transactions), cancellationToken);
        var events = transactions.Select(transaction =>
            new EventResponse(
                transaction.Id, transaction.Sequence!.Value, $"transaction.{transaction.Status.Name()}", transaction.DecidedAt!.Value,
                TransactionResponse.Of(transaction, user, currencies))).ToList();
        return TypedResults.Ok(new EventPage(events, events.Count > 0 ? events[^1].Sequence : sequence));
    }
}

/// <summary>Something that happened in the ledger.</summary>
/// <param name="Id">The id of the event, as on RabbitMQ: of the transaction.</param>
/// <param name="Sequence">Its place in the journal.</param>
/// <param name="Time">When it was decided.</param>
public sealed record EventResponse(
    Guid Id, long Sequence, [property: Description("transaction.posted, transaction.rejected or transaction.failed.")] string Type, DateTime Time, TransactionResponse Data);

/// <summary>A page of events, in the order of the journal.</summary>
/// <param name="Next">The value of <c>after</c> for the next page.</param>
public sealed record EventPage(IReadOnlyList<EventResponse> Items, long Next);
