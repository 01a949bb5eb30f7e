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
    private const string CommandAnswers =
        "Returns 201 when the transaction is posted, 422 when it is rejected, and 202 when it is recorded but not decided yet: with "
        + "`Prefer: respond-async`, after `Prefer: wait=N` seconds (10 by default), or while RabbitMQ is unavailable. "
        + "With an `Idempotency-Key`, the request is safe to retry.";

    public static void MapTransactions(this IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("").RequireAuthorization(Policies.User).RequireRateLimiting(RateLimits.PerUser).WithTags("Transactions")
            .ProducesProblem(StatusCodes.Status429TooManyRequests);

        routes.MapPost("/deposits", DepositAsync).AsCommand("Deposit", "Deposit money into an account", CommandAnswers
            + " Users deposit for themselves where self-service deposits are on. Operators and their API keys deposit on behalf of a user. "
            + "Other callers get 403 `forbidden`.")
            .RequireAuthorization(Policies.UserOrOperator).RequireRateLimiting(RateLimits.PerUser).WithTags("Transactions")
            .ProducesProblem(StatusCodes.Status403Forbidden).ProducesProblem(StatusCodes.Status429TooManyRequests);
        group.MapPost("/withdrawals", WithdrawAsync).AsCommand("Withdraw", "Withdraw money from the caller's account");
        group.MapPost("/transfers", TransferAsync).AsCommand("Transfer", "Transfer money to another user");

        var acting = routes.MapGroup("").RequireAuthorization(Policies.Operator).RequireRateLimiting(RateLimits.PerUser).WithTags("Transactions")
            .ProducesProblem(StatusCodes.Status403Forbidden).ProducesProblem(StatusCodes.Status429TooManyRequests);
        acting.MapPost("/transactions", PostJournalAsync).AsCommand("PostJournal", "Post several movements as one transaction", CommandAnswers
            + " The postings are judged in order, all or none; each may be in another currency. A rejection names the posting that could not be made (`index`). "
            + "The transaction's currency is that of the first posting, its amount the sum of the postings in that currency. For operators.");
        acting.MapPost("/exchanges", ExchangeAsync).AsCommand("Exchange", "Exchange a user's money for another currency", CommandAnswers
            + " The two amounts state the rate. The user sells to the ledger's exchange accounts and buys from them, main account to main account. For operators.");
        acting.MapPost("/transactions/{id:guid}/reversal", ReverseAsync).AsCommand("Reverse", "Reverse a transaction", CommandAnswers
            + " Posts the negated entries of a posted transaction, once: 409 `already_reversed`. A transaction that is not posted, or is a reversal itself, is 409 `not_reversible`. "
            + "An account that cannot pay rejects the reversal. For operators.")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

        group.MapGet("/transactions", ListAsync).WithName("ListTransactions")
            .WithSummary("List the caller's transactions")
            .WithDescription(
                "Pending transactions come first, then decided ones, the newest decision first. The list has the caller's own transactions, "
                + "including pending and rejected ones, and the transfers that the caller received.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status401Unauthorized);
        routes.MapGet("/transactions/{id:guid}", GetAsync).WithName("GetTransaction")
            .RequireAuthorization(Policies.UserOrStaff).RequireRateLimiting(RateLimits.PerUser).WithTags("Transactions")
            .WithSummary("Get a transaction")
            .WithDescription("A transaction exists as soon as a client learns its id. Another user's transaction is 404, except to operators and auditors, who see it with all entries on accounts of users and of the house.")
            .ProducesProblem(StatusCodes.Status429TooManyRequests)
            .ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status404NotFound);
    }

    // The gateway bounds the wait of a command, by the client's Prefer header, so the general timeout is off.
    private static RouteHandlerBuilder AsCommand(this RouteHandlerBuilder endpoint, string name, string summary, string description = CommandAnswers)
    {
        endpoint.DisableRequestTimeout();
        return endpoint
            .WithName(name).WithSummary(summary).WithDescription(description)
            .WithMetadata(new AcceptsCommandHeaders())
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status401Unauthorized)
            .ProducesProblem(StatusCodes.Status422UnprocessableEntity).ProducesProblem(StatusCodes.Status503ServiceUnavailable);
    }

    private static async Task<CommandAnswer> DepositAsync(
        DepositRequest request, HttpContext context, CommandReader reader, CommandHandler handler, SelfServiceDeposits selfService)
    {
        var caller = context.Caller();
        if (request.OnBehalfOf is null ? !caller.IsUser || !selfService.AreOn : !caller.IsOperator)
        {
            return Problem.Of(context, StatusCodes.Status403Forbidden, "forbidden", request.OnBehalfOf is null
                ? "Operators make deposits, on behalf of a user."
                : "Only operators deposit on behalf of a user.");
        }
        return await HandleAsync(
            new(TransactionKind.Deposit, request.Currency, request.Amount, request.Reference, request.Metadata, OnBehalfOf: request.OnBehalfOf, EffectiveAt: request.EffectiveAt),
            context, reader, handler);
    }

    private static Task<CommandAnswer> WithdrawAsync(MoneyRequest request, HttpContext context, CommandReader reader, CommandHandler handler) =>
        HandleAsync(
            new(TransactionKind.Withdrawal, request.Currency, request.Amount, request.Reference, request.Metadata, Account: request.Account, EffectiveAt: request.EffectiveAt),
            context, reader, handler);

    private static Task<CommandAnswer> TransferAsync(TransferRequest request, HttpContext context, CommandReader reader, CommandHandler handler) =>
        HandleAsync(
            new(TransactionKind.Transfer, request.Currency, request.Amount, request.Reference, request.Metadata, To: request.To, Account: request.Account, EffectiveAt: request.EffectiveAt),
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

    private static Task<Results<Ok<TransactionPage>, ProblemHttpResult>> ListAsync(
        [AsParameters] TransactionListQuery query, HttpContext context, TransactionQueries queries, CurrencyCatalog catalog,
        CancellationToken cancellationToken) =>
        ListOfAsync(context.Caller().Id, query, context, queries, catalog, cancellationToken);

    /// <summary>A page of a user's transactions. The caller of this method checks the right to read them.</summary>
    internal static async Task<Results<Ok<TransactionPage>, ProblemHttpResult>> ListOfAsync(
        Guid owner, TransactionListQuery query, HttpContext context, TransactionQueries queries, CurrencyCatalog catalog,
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
            reader.Named<TransactionTime>("by", query.By, TransactionTimes.TryParse, TransactionTimes.Names) ?? TransactionTime.Posted);
        var pageSize = reader.PageSize(query.Limit);
        if (reader.Errors.Count > 0)
            return Problem.Invalid(context, reader.Errors);

        var transactions = await queries.ListAsync(owner, filter, pageSize + 1, cancellationToken);
        var currencies = await catalog.GetAsync(TransactionResponse.CurrenciesOf(transactions), cancellationToken);
        var page = transactions.Take(pageSize).Select(t => TransactionResponse.Of(t, owner, currencies)).ToList();
        var next = transactions.Count > pageSize ? transactions[pageSize - 1] : null;
        return TypedResults.Ok(new TransactionPage(page, next is null ? null : new TransactionPlace(next.DecidedAt, next.Id).ToString()));
    }

    private static async Task<Results<Ok<TransactionResponse>, ProblemHttpResult>> GetAsync(
        Guid id, HttpContext context, TransactionQueries queries, CurrencyCatalog catalog, CancellationToken cancellationToken)
    {
        var own = await GetOfAsync(context.Caller().Id, id, context, queries, catalog, cancellationToken);
        if (own.Result is Ok<TransactionResponse> || context.Caller().Roles == CallerRoles.None
            || await queries.FindEverywhereAsync(context.Caller().Id, id, cancellationToken) is not { } transaction)
            return own;
        return TypedResults.Ok(TransactionResponse.Of(
            transaction, viewer: null, await catalog.GetAsync(TransactionResponse.CurrenciesOf([transaction]), cancellationToken)));
    }

    /// <summary>One of a user's transactions. The caller of this method checks the right to read it.</summary>
    internal static async Task<Results<Ok<TransactionResponse>, ProblemHttpResult>> GetOfAsync(
        Guid owner, Guid id, HttpContext context, TransactionQueries queries, CurrencyCatalog catalog, CancellationToken cancellationToken)
    {
        if (await queries.FindAsync(owner, id, cancellationToken) is not { } transaction)
            return Problem.NotFound(context);
        var currencies = await catalog.GetAsync(TransactionResponse.CurrenciesOf([transaction]), cancellationToken);
        return TypedResults.Ok(TransactionResponse.Of(transaction, owner, currencies));
    }
}

/// <summary>Marks an endpoint that takes <c>Idempotency-Key</c> and <c>Prefer</c>.</summary>
internal sealed class AcceptsCommandHeaders;
