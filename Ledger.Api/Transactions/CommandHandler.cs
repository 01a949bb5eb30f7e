using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Requests;
using Ledger.Core.Currencies;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Api.Transactions;

/// <summary>Takes a well-formed command to its answer: 201, 202 or 422, whatever happens on the way.</summary>
public sealed class CommandHandler(
    CommandGateway gateway,
    NpgsqlDataSource database,
    TransactionQueries queries,
    IOptions<GatewayOptions> options)
{
    private readonly TimeSpan _wait = TimeSpan.FromSeconds(options.Value.WaitSeconds);

    /// <summary>
    /// 201 once posted, 422 if rejected; 202 once recorded, if the client does not wait, the wait runs out, or the broker is
    /// away or takes no messages. What was answered 201, 202 or 422 is never lost and never 404.
    /// </summary>
    public async Task<Results<Created<TransactionResponse>, Accepted<TransactionResponse>, ProblemHttpResult>> HandleAsync(
        HttpContext context, Command command, Currency currency)
    {
        CommandMetrics.CountAccepted(command.Kind);
        var start = Stopwatch.GetTimestamp();
        int? status = null;
        try
        {
            var answer = await DecideAsync(context, command, currency);
            status = ((IStatusCodeHttpResult)answer.Result).StatusCode;
            return answer;
        }
        finally
        {
            CommandMetrics.RecordAnswer(command.Kind, status, Stopwatch.GetElapsedTime(start));
        }
    }

    private async Task<Results<Created<TransactionResponse>, Accepted<TransactionResponse>, ProblemHttpResult>> DecideAsync(
        HttpContext context, Command command, Currency currency)
    {
        var preference = Preference.Of(context.Request);
        var isLost = false;
        if (!preference.RespondAsync)
        {
            (var reply, isLost) = await gateway.SendAsync(command, preference.Wait ?? _wait);
            if (reply is not null)
                return await AnswerAsync(context, command, reply, currency);
        }

        var inQueue = preference.RespondAsync ? gateway.CanPost : !isLost;
        var conflict = await PendingCommands.RecordAsync(database, command, published: inQueue, CancellationToken.None);
        if (conflict is { } other)
        {
            return other.SameRequest
                ? await ReplayAsync(context, other.TransactionId, command.OwnerId, currency)
                : KeyReused(context);
        }
        if (preference.RespondAsync && inQueue)
            gateway.Post(command);
        return await StoredAsync(context, command.Id, command.OwnerId, currency);
    }

    private async Task<Results<Created<TransactionResponse>, Accepted<TransactionResponse>, ProblemHttpResult>> AnswerAsync(
        HttpContext context, Command command, Reply reply, Currency currency) => reply.Kind switch
        {
            ReplyKind.Posted => TypedResults.Created(LocationOf(context, command.OwnerId, command.Id), TransactionResponse.Of(command, reply, currency)),
            ReplyKind.Rejected => Rejected(context, TransactionResponse.Of(command, reply, currency)),
            ReplyKind.Replayed => await ReplayAsync(context, reply.TransactionId, command.OwnerId, currency),
            ReplyKind.KeyReused => KeyReused(context),
            _ => Problem.Of(context, StatusCodes.Status503ServiceUnavailable, "unavailable", "The command could not be posted, and was not."),
        };

    private Task<Results<Created<TransactionResponse>, Accepted<TransactionResponse>, ProblemHttpResult>> ReplayAsync(
        HttpContext context, Guid id, Guid owner, Currency currency)
    {
        context.Response.Headers["Idempotency-Replayed"] = "true";
        return StoredAsync(context, id, owner, currency);
    }

    private async Task<Results<Created<TransactionResponse>, Accepted<TransactionResponse>, ProblemHttpResult>> StoredAsync(
        HttpContext context, Guid id, Guid owner, Currency currency)
    {
        var transaction = await queries.FindAsync(owner, id, CancellationToken.None)
            ?? throw new InvalidOperationException($"Transaction {id} is neither decided nor pending, although it was recorded.");
        var response = TransactionResponse.Of(transaction, owner, currency);
        return transaction.Status switch
        {
            TransactionStatus.Posted => TypedResults.Created(LocationOf(context, owner, id), response),
            TransactionStatus.Rejected => Rejected(context, response),
            _ => TypedResults.Accepted(LocationOf(context, owner, id), response),
        };
    }

    // Where whoever asked may read it: its owner among its own, an operator among the owner's.
    private static string LocationOf(HttpContext context, Guid owner, Guid id) => owner == context.Caller().Id
        ? $"{context.Request.PathBase}/api/v1/transactions/{id}"
        : $"{context.Request.PathBase}/api/v1/admin/users/{owner}/transactions/{id}";

    private static ProblemHttpResult Rejected(HttpContext context, TransactionResponse transaction)
    {
        var code = transaction.Rejection!.Code;
        return code == RejectionCodes.InsufficientFunds
            ? Problem.Of(context, StatusCodes.Status422UnprocessableEntity, code, "The account has less available than the command needs.",
                ("transactionId", transaction.Id), ("currency", transaction.Currency),
                ("available", transaction.Rejection.Available), ("required", transaction.Amount))
            : Problem.Of(context, StatusCodes.Status422UnprocessableEntity, code, Explain(code), ("transactionId", transaction.Id));
    }

    private static string Explain(string code) => code switch
    {
        RejectionCodes.CurrencyUnknown => "The ledger has no such currency.",
        RejectionCodes.CurrencyDisabled => "No money moves in this currency at present.",
        RejectionCodes.AccountFrozen => "An account that this command needs is frozen.",
        RejectionCodes.RecipientUnknown => "There is no such user.",
        RejectionCodes.Forbidden => "The account is not the caller's.",
        RejectionCodes.BalanceOverflow => "A balance would become larger than the ledger can hold.",
        _ => "The command was rejected.",
    };

    private static ProblemHttpResult KeyReused(HttpContext context) => Problem.Of(
        context, StatusCodes.Status422UnprocessableEntity, "idempotency_key_reused", "This Idempotency-Key was used with another body before.");

    /// <summary>What a key stands for: the same in everything that the client asked for, whatever the order of its fields.</summary>
    public static byte[] HashOf(TransactionKind kind, string? to, string currency, long amount, string? reference, Dictionary<string, string>? metadata)
    {
        var asked = JsonSerializer.SerializeToUtf8Bytes(
            new CommandBody(kind, to, currency, amount, reference, metadata is null ? null : new SortedDictionary<string, string>(metadata, StringComparer.Ordinal)),
            ApiJson.Default.CommandBody);
        return SHA256.HashData(asked);
    }
}

/// <summary>What an idempotency key stands for, in one order.</summary>
internal sealed record CommandBody(
    TransactionKind Kind, string? To, string Currency, long Amount, string? Reference, SortedDictionary<string, string>? Metadata);
