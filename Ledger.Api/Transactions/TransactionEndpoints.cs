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

/// <summary>Deposits, withdrawals, transfers, and the transactions that they become.</summary>
public static class TransactionEndpoints
{
    private const string CommandAnswers =
        "Returns 201 when the transaction is posted, 422 when it is rejected, and 202 when it is recorded but not decided yet: with "
        + "`Prefer: respond-async`, after `Prefer: wait=N` seconds (10 by default), or while RabbitMQ is unavailable. "
        + "With an `Idempotency-Key`, the request is safe to retry. Service accounts with scope transactions and operators name the user in "
        + "`onBehalfOf`; from other callers, `onBehalfOf` gets 403 `forbidden`.";

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
                + "Without `onBehalfOf`, service accounts and operators get the transactions that they sent.")
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
            new(TransactionKind.Deposit, request.Currency, request.Amount, request.Reference, request.Metadata, OnBehalfOf: request.OnBehalfOf),
            context, reader, handler);
    }

    private static Task<CommandAnswer> WithdrawAsync(MoneyRequest request, HttpContext context, CommandReader reader, CommandHandler handler) =>
        HandleAsync(
            new(TransactionKind.Withdrawal, request.Currency, request.Amount, request.Reference, request.Metadata, OnBehalfOf: request.OnBehalfOf),
            context, reader, handler);

    private static Task<CommandAnswer> TransferAsync(TransferRequest request, HttpContext context, CommandReader reader, CommandHandler handler) =>
        HandleAsync(
            new(TransactionKind.Transfer, request.Currency, request.Amount, request.Reference, request.Metadata, request.To, request.OnBehalfOf),
            context, reader, handler);

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
        var currencies = await catalog.GetAsync(transactions.Select(t => t.Currency), cancellationToken);
        var page = transactions.Take(pageSize).Select(ResponseOf).ToList();
        var next = transactions.Count > pageSize ? transactions[pageSize - 1] : null;
        return TypedResults.Ok(new TransactionPage(page, next is null ? null : new TransactionPlace(next.DecidedAt, next.Id).ToString()));

        TransactionResponse ResponseOf(Transaction transaction)
        {
            var currency = currencies.GetValueOrDefault(transaction.Currency) ?? Currency.Unknown(transaction.Currency);
            return acting is { User: var viewer } ? TransactionResponse.Of(transaction, viewer, currency) : TransactionResponse.OfAll(transaction, currency);
        }
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
            return await AnswerAsync(await queries.FindSentAsync(caller.Id, id, cancellationToken), null, context, catalog, cancellationToken);

        var (acting, problem) = await users.ReadAsync(context, onBehalfOf);
        if (problem is not null)
            return problem;
        var transaction = await queries.FindAsync(acting, id, cancellationToken);
        return transaction is null && onBehalfOf is null && caller.IsOperator
            ? await AnswerAsync(await queries.FindSentAsync(caller.Id, id, cancellationToken), null, context, catalog, cancellationToken)
            : await AnswerAsync(transaction, acting.User, context, catalog, cancellationToken);
    }

    /// <summary>One of a user's transactions. The caller of this method checks the right to read it.</summary>
    internal static async Task<Results<Ok<TransactionResponse>, ProblemHttpResult>> GetOfAsync(
        Acting acting, Guid id, HttpContext context, TransactionQueries queries, CurrencyCatalog catalog, CancellationToken cancellationToken) =>
        await AnswerAsync(await queries.FindAsync(acting, id, cancellationToken), acting.User, context, catalog, cancellationToken);

    /// <param name="user">The user who sees it; null for the transaction's owner.</param>
    private static async Task<Results<Ok<TransactionResponse>, ProblemHttpResult>> AnswerAsync(
        Transaction? transaction, Guid? user, HttpContext context, CurrencyCatalog catalog, CancellationToken cancellationToken)
    {
        if (transaction is null)
            return Problem.NotFound(context);
        var currencies = await catalog.GetAsync([transaction.Currency], cancellationToken);
        return TypedResults.Ok(TransactionResponse.Of(transaction, user ?? transaction.OwnerId ?? Guid.Empty, currencies.GetValueOrDefault(transaction.Currency) ?? Currency.Unknown(transaction.Currency)));
    }
}

/// <summary>Marks an endpoint that takes <c>Idempotency-Key</c> and <c>Prefer</c>.</summary>
internal sealed class AcceptsCommandHeaders;
