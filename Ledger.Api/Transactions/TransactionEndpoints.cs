using System.Text.Json;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Limits;
using Ledger.Api.Requests;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;
using Microsoft.AspNetCore.Http.HttpResults;
using CommandAnswer = Microsoft.AspNetCore.Http.HttpResults.Results<
    Microsoft.AspNetCore.Http.HttpResults.Created<Ledger.Api.Transactions.TransactionResponse>,
    Microsoft.AspNetCore.Http.HttpResults.Accepted<Ledger.Api.Transactions.TransactionResponse>,
    Microsoft.AspNetCore.Http.HttpResults.ProblemHttpResult>;

namespace Ledger.Api.Transactions;

/// <summary>Deposits, withdrawals, transfers, journals, exchanges and reversals, and the transactions that they become.</summary>
public static class TransactionEndpoints
{
    private const string Answers =
        "Returns 201 when the transaction is posted, 422 when it is rejected, and 202 when it is recorded but not decided yet: with "
        + "`Prefer: respond-async`, after `Prefer: wait=N` seconds (10 by default), or while RabbitMQ is unavailable. "
        + "With an `Idempotency-Key`, the request is safe to retry. ";

    private const string CommandAnswers = Answers + "Service accounts with scope transactions and operators name the user in "
        + "`onBehalfOf`; from other callers, `onBehalfOf` gets 403 `forbidden`.";

    private const string ForOthersAnswers = Answers + "For service accounts with scope transactions and for operators.";

    public static void MapTransactions(this IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("").RequireRateLimiting(RateLimits.PerUser).WithTags("Transactions")
            .ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status403Forbidden)
            .ProducesProblem(StatusCodes.Status429TooManyRequests);

        var commands = group.MapGroup("").RequireAuthorization(Policies.Move);
        commands.MapPost("/deposits", DepositAsync).AsCommand("Deposit", "Deposit money into a user's account", CommandAnswers
            + " Users deposit for themselves where self-service deposits are on; where they are off, such a deposit gets 403 `forbidden`.");
        commands.MapPost("/withdrawals", WithdrawAsync).AsCommand("Withdraw", "Withdraw money from a user's account");
        commands.MapPost("/transfers", TransferAsync).AsCommand("Transfer", "Transfer money to another user");

        var forOthers = group.MapGroup("").RequireAuthorization(Policies.MoveForOthers);
        forOthers.MapPost("/transactions", PostJournalAsync).AsCommand("PostJournal", "Post several movements as one transaction", ForOthersAnswers
            + " The postings are judged in order, all or none; each may be in another currency. A rejection names the posting that could not be made (`index`). "
            + "The transaction's currency is that of the first posting, its amount the sum of the postings in that currency.");
        forOthers.MapPost("/exchanges", ExchangeAsync).AsCommand("Exchange", "Exchange a user's money for another currency", ForOthersAnswers
            + " The two amounts state the rate. The user in `onBehalfOf` sells to the ledger's exchange accounts and buys from them, main account to main account.");
        forOthers.MapPost("/transactions/{id:guid}/reversal", ReverseAsync).AsCommand("Reverse", "Reverse a transaction", ForOthersAnswers
            + " Posts the negated entries of a posted transaction, once: 409 `already_reversed`. A transaction that is not posted, or is a reversal itself, is 409 `not_reversible`. "
            + "An account that cannot pay rejects the reversal.")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

        group.MapGet("/transactions", ListAsync).RequireAuthorization(Policies.Read).WithName("ListTransactions")
            .WithSummary("List a user's transactions")
            .WithDescription(
                "Pending transactions come first, then decided ones, the newest decision first. The list has the user's own transactions, "
                + "including pending and rejected ones, and the transfers that the user received. The user is the caller, or the one in `onBehalfOf`.\n\n"
                + "Filters combine. `minAmount` and `maxAmount` need `currency`. A search by `metadata[key]` finds the transactions that the user sent: a recipient does "
                + "not see the sender's metadata. With `reference` or `metadata[key]` and without `onBehalfOf`, service accounts with scope read, operators and auditors "
                + "find the decided transactions of all users, with all entries.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status404NotFound);
        group.MapGet("/transactions/{id:guid}", GetAsync).RequireAuthorization(Policies.ReadOrMove).WithName("GetTransaction")
            .WithSummary("Get a transaction")
            .WithDescription("A transaction exists as soon as a client learns its id. Another user's transaction is 404. "
                + "Without `onBehalfOf`, service accounts get the transactions that they sent, and operators and auditors any, with all entries on accounts of users and of the house.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status404NotFound);
    }

    // The gateway bounds the wait of a command, by the client's Prefer header, so the general timeout is off.
    private static RouteHandlerBuilder AsCommand(this RouteHandlerBuilder endpoint, string name, string summary, string description = CommandAnswers)
    {
        endpoint.DisableRequestTimeout();
        return endpoint
            .WithName(name).WithSummary(summary).WithDescription(description)
            .WithMetadata(new AcceptsCommandHeaders())
            .ProducesProblem(StatusCodes.Status400BadRequest)
            .ProducesProblem(StatusCodes.Status422UnprocessableEntity).ProducesProblem(StatusCodes.Status503ServiceUnavailable);
    }

    private static async Task<CommandAnswer> DepositAsync(
        DepositRequest request, HttpContext context, CommandReader reader, CommandHandler handler, SelfServiceDeposits selfService)
    {
        if (request.OnBehalfOf is null && context.Caller().IsUser && !selfService.AreOn)
            return Problem.Of(context, StatusCodes.Status403Forbidden, "forbidden", "Users do not deposit for themselves: service accounts and operators deposit on behalf of a user.");
        return await HandleAsync(
            new(TransactionKind.Deposit, request.Currency, request.Amount, request.Reference, request.Metadata, OnBehalfOf: request.OnBehalfOf, EffectiveAt: request.EffectiveAt),
            context, reader, handler);
    }

    private static Task<CommandAnswer> WithdrawAsync(MoneyRequest request, HttpContext context, CommandReader reader, CommandHandler handler) =>
        HandleAsync(
            new(TransactionKind.Withdrawal, request.Currency, request.Amount, request.Reference, request.Metadata,
                OnBehalfOf: request.OnBehalfOf, Account: request.Account, EffectiveAt: request.EffectiveAt),
            context, reader, handler);

    private static Task<CommandAnswer> TransferAsync(TransferRequest request, HttpContext context, CommandReader reader, CommandHandler handler) =>
        HandleAsync(
            new(TransactionKind.Transfer, request.Currency, request.Amount, request.Reference, request.Metadata,
                request.To, request.OnBehalfOf, request.Account, request.EffectiveAt),
            context, reader, handler);

    private static async Task<CommandAnswer> PostJournalAsync(JournalRequest request, HttpContext context, OperatorCommandReader reader, CommandHandler handler)
    {
        var (command, problem) = await reader.ReadAsync(request, context);
        return problem is not null ? problem : await handler.HandleAsync(context, command!);
    }

    private static async Task<CommandAnswer> ExchangeAsync(ExchangeRequest request, HttpContext context, OperatorCommandReader reader, CommandHandler handler)
    {
        var (command, problem) = await reader.ReadAsync(request, context);
        return problem is not null ? problem : await handler.HandleAsync(context, command!);
    }

    private static async Task<CommandAnswer> ReverseAsync(
        Guid id, ReversalRequest? request, HttpContext context, OperatorCommandReader reader, CommandHandler handler)
    {
        var (command, problem) = await reader.ReadAsync(id, request, context);
        return problem is not null ? problem : await handler.HandleAsync(context, command!);
    }

    private static async Task<CommandAnswer> HandleAsync(
        CommandRequest request, HttpContext context, CommandReader reader, CommandHandler handler)
    {
        var (command, problem) = await reader.ReadAsync(request, context);
        return problem is not null ? problem : await handler.HandleAsync(context, command!);
    }

    private static async Task<Results<Ok<TransactionPage>, ProblemHttpResult>> ListAsync(
        [AsParameters] TransactionListQuery query, HttpContext context, OnBehalfOf users, TransactionQueries queries, CurrencyCatalog catalog,
        CancellationToken cancellationToken, string? onBehalfOf = null)
    {
        var isSearch = query.Reference is not null || query.Metadata is not null || context.Request.Query.Keys.Any(name => QueryParameters.KeyOf(name, QueryParameters.Metadata) is not null);
        if (onBehalfOf is null && isSearch && context.Caller().ReadsForOthers)
            return await ListOfAsync(null, query, context, queries, catalog, cancellationToken);
        var (acting, problem) = await users.ReadAsync(context, onBehalfOf);
        return problem is not null ? problem : await ListOfAsync(acting, query, context, queries, catalog, cancellationToken);
    }

    /// <summary>A page of a user's transactions. The caller of this method checks the right to read them.</summary>
    /// <param name="acting">Null: of everybody's decided transactions.</param>
    internal static async Task<Results<Ok<TransactionPage>, ProblemHttpResult>> ListOfAsync(
        Acting? acting, TransactionListQuery query, HttpContext context, TransactionQueries queries, CurrencyCatalog catalog,
        CancellationToken cancellationToken)
    {
        var reader = new QueryReader();
        var filter = new TransactionFilter(
            reader.Cursor<TransactionPlace>("cursor", query.Cursor, TransactionPlace.TryParse),
            reader.Currency("currency", query.Currency),
            reader.Named<TransactionKind>("kind", query.Kind, TransactionNames.TryParseKind, Enum.GetValues<TransactionKind>().Select(kind => kind.Name())),
            reader.Named<TransactionStatus>("status", query.Status, TransactionNames.TryParseStatus, Enum.GetValues<TransactionStatus>().Select(status => status.Name())),
            reader.Time("from", query.From),
            reader.Time("to", query.To),
            reader.Named<TransactionTime>("by", query.By, TransactionTimes.TryParse, TransactionTimes.Names) ?? TransactionTime.Posted,
            reader.Text("reference", query.Reference, CommandReader.MaxReference),
            reader.Metadata(query.Metadata, context.Request.Query) is { } metadata ? JsonSerializer.Serialize(metadata, ApiJson.Default.DictionaryStringString) : null,
            null, null);
        var pageSize = reader.PageSize(query.Limit);
        if (query.MinAmount is not null || query.MaxAmount is not null)
            filter = await WithAmountsAsync(filter, query, reader, catalog, cancellationToken);
        if (acting is null && filter.Status == TransactionStatus.Pending)
            reader.Errors["status"] = ["\"pending\" was sent. A search in the transactions of all users finds decided ones only: name a user in onBehalfOf."];
        if (reader.Errors.Count > 0)
            return Problem.Invalid(context, reader.Errors);

        var transactions = acting is { } user
            ? await queries.ListAsync(user, filter, pageSize + 1, cancellationToken)
            : await queries.SearchAsync(context.Caller().Id, filter, pageSize + 1, cancellationToken);
        var currencies = await catalog.GetAsync(TransactionResponse.CurrenciesOf(transactions), cancellationToken);
        var page = transactions.Take(pageSize).Select(t => TransactionResponse.Of(t, acting?.User, currencies)).ToList();
        var next = transactions.Count > pageSize ? transactions[pageSize - 1] : null;
        return TypedResults.Ok(new TransactionPage(page, next is null ? null : new TransactionPlace(next.DecidedAt, next.Id).ToString()));
    }

    private static async Task<TransactionFilter> WithAmountsAsync(
        TransactionFilter filter, TransactionListQuery query, QueryReader reader, CurrencyCatalog catalog, CancellationToken cancellationToken)
    {
        if (query.Currency is null)
        {
            reader.Errors["currency"] = ["Is required with minAmount and maxAmount: an ISO 4217 code, such as USD."];
            return filter;
        }
        // A malformed code is an error already.
        if (filter.Currency is null)
            return filter;
        if (!(await catalog.GetAsync([filter.Currency], cancellationToken)).TryGetValue(filter.Currency, out var currency))
        {
            reader.Errors["currency"] = [$"{Sent.Quoted(filter.Currency)} is not a currency of this ledger. minAmount and maxAmount need one that is."];
            return filter;
        }
        filter = filter with { MinAmount = reader.Amount("minAmount", query.MinAmount, currency), MaxAmount = reader.Amount("maxAmount", query.MaxAmount, currency) };
        if (filter.MinAmount > filter.MaxAmount)
            reader.Errors["minAmount"] = [$"{Sent.Quoted(query.MinAmount!)} is more than maxAmount."];
        return filter;
    }

    private static async Task<Results<Ok<TransactionResponse>, ProblemHttpResult>> GetAsync(
        Guid id, HttpContext context, OnBehalfOf users, TransactionQueries queries, CurrencyCatalog catalog, CancellationToken cancellationToken,
        string? onBehalfOf = null)
    {
        var caller = context.Caller();
        // Without the scope to read, a caller reads the outcome of the commands that it sent.
        if (onBehalfOf is null && !(caller.IsUser && caller.Scopes.HasFlag(CallerScopes.Read)))
        {
            var sent = await queries.FindSentAsync(caller.Id, id, cancellationToken);
            return await AnswerAsync(sent, sent?.OwnerId, context, catalog, cancellationToken);
        }

        var (acting, problem) = await users.ReadAsync(context, onBehalfOf);
        if (problem is not null)
            return problem;
        var transaction = await queries.FindAsync(acting, id, cancellationToken);
        return transaction is null && onBehalfOf is null && caller.ReadsForOthers
            ? await AnswerAsync(await queries.FindEverywhereAsync(caller.Id, id, cancellationToken), null, context, catalog, cancellationToken)
            : await AnswerAsync(transaction, acting.User, context, catalog, cancellationToken);
    }

    /// <summary>One of a user's transactions. The caller of this method checks the right to read it.</summary>
    internal static async Task<Results<Ok<TransactionResponse>, ProblemHttpResult>> GetOfAsync(
        Acting acting, Guid id, HttpContext context, TransactionQueries queries, CurrencyCatalog catalog, CancellationToken cancellationToken) =>
        await AnswerAsync(await queries.FindAsync(acting, id, cancellationToken), acting.User, context, catalog, cancellationToken);

    /// <param name="viewer">The user who sees the own entries; null for a caller who sees all of them.</param>
    private static async Task<Results<Ok<TransactionResponse>, ProblemHttpResult>> AnswerAsync(
        Transaction? transaction, Guid? viewer, HttpContext context, CurrencyCatalog catalog, CancellationToken cancellationToken)
    {
        if (transaction is null)
            return Problem.NotFound(context);
        var currencies = await catalog.GetAsync(TransactionResponse.CurrenciesOf([transaction]), cancellationToken);
        return TypedResults.Ok(TransactionResponse.Of(transaction, viewer, currencies));
    }
}

/// <summary>Marks an endpoint that takes <c>Idempotency-Key</c> and <c>Prefer</c>.</summary>
internal sealed class AcceptsCommandHeaders;
