using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Limits;
using Ledger.Api.Requests;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Ledger.Api.Transactions;

/// <summary>Money that moves, and what became of it.</summary>
public static class TransactionEndpoints
{
    private const string CommandAnswers =
        "Answers 201 once it is posted, 422 if it is rejected, and 202 if it is recorded but not decided yet: at `Prefer: respond-async`, "
        + "after `Prefer: wait=N` seconds (10 by default), or while the broker is away. Send an `Idempotency-Key` and it is safe to retry.";

    public static void MapTransactions(this IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("").RequireAuthorization(Policies.User).RequireRateLimiting(RateLimits.PerUser).WithTags("Transactions")
            .ProducesProblem(StatusCodes.Status429TooManyRequests);

        routes.MapPost("/deposits", DepositAsync).AsCommand("Deposit", "Add money from outside to an account", CommandAnswers
            + " For the caller where self-service deposits are on; on behalf of a user by an operator or its API key. 403 `forbidden` otherwise.")
            .RequireAuthorization(Policies.UserOrOperator).RequireRateLimiting(RateLimits.PerUser).WithTags("Transactions")
            .ProducesProblem(StatusCodes.Status403Forbidden).ProducesProblem(StatusCodes.Status429TooManyRequests);
        group.MapPost("/withdrawals", WithdrawAsync).AsCommand("Withdraw", "Take money out of the caller's account");
        group.MapPost("/transfers", TransferAsync).AsCommand("Transfer", "Move money to another user");

        group.MapGet("/transactions", ListAsync).WithName("ListTransactions")
            .WithSummary("List the caller's transactions: pending ones, then the newest decision first")
            .WithDescription("Those that the caller initiated, pending and rejected ones too, and those that brought the caller money.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status401Unauthorized);
        group.MapGet("/transactions/{id:guid}", GetAsync).WithName("GetTransaction")
            .WithSummary("Read one transaction")
            .WithDescription("From the moment that a client learns its id. Another user's is 404.")
            .ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status404NotFound);
    }

    // How long a command may take, its client says (Prefer), and the gateway sees to it.
    private static RouteHandlerBuilder AsCommand(this RouteHandlerBuilder endpoint, string name, string summary, string description = CommandAnswers)
    {
        endpoint.DisableRequestTimeout();
        return endpoint
            .WithName(name).WithSummary(summary).WithDescription(description)
            .WithMetadata(new AcceptsCommandHeaders())
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status401Unauthorized)
            .ProducesProblem(StatusCodes.Status422UnprocessableEntity).ProducesProblem(StatusCodes.Status503ServiceUnavailable);
    }

    private static async Task<Results<Created<TransactionResponse>, Accepted<TransactionResponse>, ProblemHttpResult>> DepositAsync(
        DepositRequest request, HttpContext context, CommandReader reader, CommandHandler handler, SelfServiceDeposits selfService)
    {
        var caller = context.Caller();
        if (request.OnBehalfOf is null ? !caller.IsUser || !selfService.AreOn : !caller.IsOperator)
        {
            return Problem.Of(context, StatusCodes.Status403Forbidden, "forbidden", request.OnBehalfOf is null
                ? "Deposits are made by operators, on behalf of a user."
                : "Deposits on behalf of somebody are made by operators.");
        }
        return await HandleAsync(
            context, reader, handler, TransactionKind.Deposit, null, request.Currency, request.Amount, request.Reference, request.Metadata, request.OnBehalfOf);
    }

    private static Task<Results<Created<TransactionResponse>, Accepted<TransactionResponse>, ProblemHttpResult>> WithdrawAsync(
        MoneyRequest request, HttpContext context, CommandReader reader, CommandHandler handler) =>
        HandleAsync(context, reader, handler, TransactionKind.Withdrawal, null, request.Currency, request.Amount, request.Reference, request.Metadata);

    private static Task<Results<Created<TransactionResponse>, Accepted<TransactionResponse>, ProblemHttpResult>> TransferAsync(
        TransferRequest request, HttpContext context, CommandReader reader, CommandHandler handler) =>
        HandleAsync(context, reader, handler, TransactionKind.Transfer, request.To, request.Currency, request.Amount, request.Reference, request.Metadata);

    private static async Task<Results<Created<TransactionResponse>, Accepted<TransactionResponse>, ProblemHttpResult>> HandleAsync(
        HttpContext context, CommandReader reader, CommandHandler handler, TransactionKind kind, string? to, string? currency, string? amount,
        string? reference, Dictionary<string, string>? metadata, string? onBehalfOf = null)
    {
        var (command, money, problem) = await reader.ReadAsync(context, kind, to, onBehalfOf, currency, amount, reference, metadata);
        return problem is not null ? problem : await handler.HandleAsync(context, command!, money!);
    }

    private static Task<Results<Ok<TransactionPage>, ProblemHttpResult>> ListAsync(
        HttpContext context, TransactionQueries queries, CurrencyCatalog catalog, CancellationToken cancellationToken,
        string? currency = null, string? kind = null, string? status = null, string? from = null, string? to = null, string? cursor = null,
        string? limit = null) =>
        ListOfAsync(context.Caller().Id, context, queries, catalog, currency, kind, status, from, to, cursor, limit, cancellationToken);

    /// <summary>A page of a user's transactions, for whoever may see them.</summary>
    internal static async Task<Results<Ok<TransactionPage>, ProblemHttpResult>> ListOfAsync(
        Guid owner, HttpContext context, TransactionQueries queries, CurrencyCatalog catalog, string? currency, string? kind, string? status,
        string? from, string? to, string? cursor, string? limit, CancellationToken cancellationToken)
    {
        var query = new QueryReader();
        var filter = new TransactionFilter(
            query.Cursor<TransactionPlace>("cursor", cursor, TransactionPlace.TryParse),
            query.Currency("currency", currency),
            query.Named<TransactionKind>("kind", kind, TransactionNames.TryParseKind),
            query.Named<TransactionStatus>("status", status, TransactionNames.TryParseStatus),
            query.Time("from", from),
            query.Time("to", to));
        var pageSize = query.Number("limit", limit, 1, 1000) ?? 50;
        if (query.Errors.Count > 0)
            return Problem.Invalid(context, query.Errors);

        var transactions = await queries.ListAsync(owner, filter, pageSize + 1, cancellationToken);
        var currencies = await catalog.GetAsync(transactions.Select(t => t.Currency), cancellationToken);
        var page = transactions.Take(pageSize).Select(t => TransactionResponse.Of(t, owner, currencies[t.Currency])).ToList();
        var next = transactions.Count > pageSize ? transactions[pageSize - 1] : null;
        return TypedResults.Ok(new TransactionPage(page, next is null ? null : new TransactionPlace(next.DecidedAt, next.Id).ToString()));
    }

    private static Task<Results<Ok<TransactionResponse>, ProblemHttpResult>> GetAsync(
        Guid id, HttpContext context, TransactionQueries queries, CurrencyCatalog catalog, CancellationToken cancellationToken) =>
        GetOfAsync(context.Caller().Id, id, context, queries, catalog, cancellationToken);

    /// <summary>One of a user's transactions, for whoever may see them.</summary>
    internal static async Task<Results<Ok<TransactionResponse>, ProblemHttpResult>> GetOfAsync(
        Guid owner, Guid id, HttpContext context, TransactionQueries queries, CurrencyCatalog catalog, CancellationToken cancellationToken)
    {
        if (await queries.FindAsync(owner, id, cancellationToken) is not { } transaction)
            return Problem.NotFound(context);
        var currencies = await catalog.GetAsync([transaction.Currency], cancellationToken);
        return TypedResults.Ok(TransactionResponse.Of(transaction, owner, currencies[transaction.Currency]));
    }
}

/// <summary>Marks an endpoint that takes <c>Idempotency-Key</c> and <c>Prefer</c>.</summary>
internal sealed class AcceptsCommandHeaders;
