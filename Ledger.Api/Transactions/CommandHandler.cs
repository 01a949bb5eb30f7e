using System.Diagnostics;
using Ledger.Api.Identity;
using Ledger.Core.Currencies;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using Microsoft.Extensions.Options;
using Npgsql;
using CommandAnswer = Microsoft.AspNetCore.Http.HttpResults.Results<
    Microsoft.AspNetCore.Http.HttpResults.Created<Ledger.Api.Transactions.TransactionResponse>,
    Microsoft.AspNetCore.Http.HttpResults.Accepted<Ledger.Api.Transactions.TransactionResponse>,
    Microsoft.AspNetCore.Http.HttpResults.ProblemHttpResult>;

namespace Ledger.Api.Transactions;

/// <summary>Sends a valid command to the worker and answers its client.</summary>
public sealed class CommandHandler(
    CommandGateway gateway,
    NpgsqlDataSource database,
    TransactionQueries queries,
    IOptions<GatewayOptions> options)
{
    // The relay takes a recorded command that the queue has for lost after this time at the earliest.
    private static readonly TimeSpan QueuedFor = TimeSpan.FromSeconds(30);

    private readonly TimeSpan _wait = TimeSpan.FromSeconds(options.Value.WaitSeconds);

    /// <summary>
    /// Returns 201 for a posted command and 422 or 409 for a rejected one. Returns 202 for a recorded one: the client does not wait, the
    /// wait ends, or RabbitMQ takes no messages. A command that was answered 201, 202 or 422 is never lost and never 404.
    /// </summary>
    public async Task<CommandAnswer> HandleAsync(HttpContext context, ValidCommand valid)
    {
        var (command, currencies) = valid;
        CommandMetrics.CountAccepted(command.Kind);
        var start = Stopwatch.GetTimestamp();
        int? status = null;
        try
        {
            var answer = await DecideAsync(context, command, currencies);
            status = ((IStatusCodeHttpResult)answer.Result).StatusCode;
            return answer;
        }
        finally
        {
            CommandMetrics.RecordAnswer(command.Kind, status, Stopwatch.GetElapsedTime(start));
        }
    }

    private async Task<CommandAnswer> DecideAsync(HttpContext context, Command command, IReadOnlyDictionary<string, Currency> currencies)
    {
        var preference = Preference.Of(context.Request);
        var isLost = false;
        if (!preference.RespondAsync)
        {
            (var reply, isLost) = await gateway.SendAsync(command, preference.Wait ?? _wait);
            if (reply is not null)
                return await AnswerAsync(context, command, reply, currencies);
        }

        var inQueue = preference.RespondAsync ? gateway.CanPost : !isLost;
        var conflict = await PendingCommands.RecordAsync(database, command, inQueue ? QueuedFor : TimeSpan.Zero, CancellationToken.None);
        if (conflict is { } other)
        {
            return other.SameRequest
                ? await ReplayAsync(context, other.TransactionId, command, currencies)
                : CommandProblems.KeyReused(context);
        }
        if (preference.RespondAsync && inQueue)
            gateway.Post(command);
        return await StoredAsync(context, command.Id, command, currencies);
    }

    private async Task<CommandAnswer> AnswerAsync(HttpContext context, Command command, Reply reply, IReadOnlyDictionary<string, Currency> currencies) => reply.Kind switch
    {
        ReplyKind.Posted => TypedResults.Created(LocationOf(context, command.Id), TransactionResponse.Of(command, reply, currencies)),
        ReplyKind.Rejected => CommandProblems.Rejected(context, TransactionResponse.Of(command, reply, currencies)),
        ReplyKind.Replayed => await ReplayAsync(context, reply.TransactionId, command, currencies),
        ReplyKind.KeyReused => CommandProblems.KeyReused(context),
        _ => CommandProblems.Failed(context, reply.TransactionId),
    };

    private Task<CommandAnswer> ReplayAsync(HttpContext context, Guid id, Command command, IReadOnlyDictionary<string, Currency> currencies)
    {
        context.Response.Headers["Idempotency-Replayed"] = "true";
        return StoredAsync(context, id, command, currencies);
    }

    private async Task<CommandAnswer> StoredAsync(HttpContext context, Guid id, Command command, IReadOnlyDictionary<string, Currency> currencies)
    {
        var (principal, owner) = (command.PrincipalId, command.OwnerId);
        var transaction = await (principal == owner
            ? queries.FindAsync(new Acting(principal, principal), id, CancellationToken.None)
            : queries.FindSentAsync(principal, id, CancellationToken.None))
            ?? throw new InvalidOperationException($"Transaction {id} was recorded, but it is neither pending nor decided.");
        var response = TransactionResponse.Of(transaction, owner, currencies);
        return transaction.Status switch
        {
            TransactionStatus.Posted => TypedResults.Created(LocationOf(context, id), response),
            TransactionStatus.Rejected => CommandProblems.Rejected(context, response),
            TransactionStatus.Failed => CommandProblems.Failed(context, id),
            _ => TypedResults.Accepted(LocationOf(context, id), response),
        };
    }

    // A caller reads the transactions that it sent without onBehalfOf.
    private static string LocationOf(HttpContext context, Guid id) => $"{context.Request.PathBase}/api/v1/transactions/{id}";
}
