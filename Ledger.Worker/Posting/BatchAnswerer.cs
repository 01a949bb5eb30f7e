using System.Collections.Frozen;
using System.Diagnostics;
using System.Text.Json;
using Ledger.Core.Currencies;
using Ledger.Core.Messaging;
using Ledger.Core.Persistence;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.Options;
using Npgsql;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace Ledger.Worker.Posting;

/// <summary>
/// Sends what a batch decided, after its commit: replies to the API processes that wait, events to the event exchange, and
/// commands that cannot be posted to the dead letters.
/// </summary>
internal sealed partial class BatchAnswerer(
    NpgsqlDataSource database, CurrencyCatalog catalog, EventPublisher events, TimeProvider clock, IOptions<WorkerOptions> options, ILogger<BatchAnswerer> logger)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    private static readonly BasicProperties ReplyProperties = new() { ContentType = "application/json", DeliveryMode = DeliveryModes.Transient };

    private readonly OnceAMinute _absences = new(clock);

    /// <summary>Returns when RabbitMQ has confirmed or refused events and dead letters. No message may be acknowledged before that.</summary>
    /// <param name="publishing">A channel with publisher confirms.</param>
    /// <param name="replying">A channel without publisher confirms: a lost reply is found in the database.</param>
    /// <returns>
    /// The tags of messages to reject, because the queue of dead letters takes no more. RabbitMQ keeps such a message and moves it to
    /// the dead letters when there is room.
    /// </returns>
    public async Task<IReadOnlySet<ulong>> AnswerAsync(PostedBatch batch, IChannel publishing, IChannel replying, CancellationToken cancellationToken)
    {
        await KeepReplyQueuesAsync(batch.Answers, cancellationToken);
        using (batch.Trace?.StartStep("send replies", batch.Answers.Count, ActivityKind.Producer))
            await ReplyAsync(batch.Answers, replying, cancellationToken);
        using (batch.Trace?.StartStep("send ledger.events", batch.Answers.Count, ActivityKind.Producer))
            await PublishEventsAsync(batch.Answers, publishing, cancellationToken);
        var refused = await DeadLetterAsync(batch, publishing, cancellationToken);
        batch.Trace?.End(batch.Answers);
        PostingMetrics.Count(batch);
        return refused;
    }

    private static async Task ReplyAsync(IReadOnlyList<Answer> answers, IChannel channel, CancellationToken cancellationToken)
    {
        foreach (var instance in answers.Where(answer => answer.ReplyTo is not null && HasReply(answer.Decision)).GroupBy(answer => answer.ReplyTo!))
        {
            var replies = new Replies([.. instance.Select(answer => ReplyTo(answer.Decision))]);
            await channel.BasicPublishAsync(
                "", instance.Key, mandatory: false, ReplyProperties, JsonSerializer.SerializeToUtf8Bytes(replies, MessageJson.Default.Replies), cancellationToken);
        }
    }

    // The relay publishes these commands again, and the worker that decides one replies to the process that still waits.
    private async Task KeepReplyQueuesAsync(IReadOnlyList<Answer> answers, CancellationToken cancellationToken)
    {
        foreach (var waiting in answers.Where(answer => answer is { ReplyTo: not null, Decision: { Kind: DecisionKind.Undecided, Failure: null } })
            .GroupBy(answer => answer.ReplyTo!, answer => answer.Decision.Command.Id))
            await AskAsync(() => PendingCommands.ReplyToAsync(database, [.. waiting], waiting.Key, cancellationToken), cancellationToken);
    }

    // The API answers 202 for an undecided command when the wait ends.
    private static bool HasReply(Decision decision) => decision.Kind != DecisionKind.Undecided;

    private static Reply ReplyTo(Decision decision) => decision switch
    {
        { Outcome: { Status: TransactionStatus.Failed } failed } => new Reply(decision.Command.Id, ReplyKind.Failed, failed.Id),
        { Kind: DecisionKind.Decided or DecisionKind.Known, Outcome: { } outcome } => new Reply(
            outcome.Id,
            outcome.Status == TransactionStatus.Posted ? ReplyKind.Posted : ReplyKind.Rejected,
            outcome.Id,
            outcome.DecidedAt,
            outcome.Rejection,
            OwnEntries(outcome)),
        { Kind: DecisionKind.Replayed } => new Reply(decision.Command.Id, ReplyKind.Replayed, decision.TransactionId),
        _ => new Reply(decision.Command.Id, ReplyKind.KeyReused, decision.TransactionId),
    };

    private static List<Entry> OwnEntries(Transaction transaction)
    {
        var own = new List<Entry>(1);
        foreach (var entry in transaction.Entries)
        {
            // Operators, who send what has no owner, see everything but the shards.
            if (transaction.OwnerId is null ? entry.BalanceAfter is not null : entry.OwnerId == transaction.OwnerId)
                own.Add(entry);
        }
        return own;
    }

    private async Task PublishEventsAsync(IReadOnlyList<Answer> answers, IChannel channel, CancellationToken cancellationToken)
    {
        // The events of a known outcome are published again: the worker that decided it may have died before it published them.
        var decided = new List<Transaction>(answers.Count);
        var codes = new HashSet<string>();
        foreach (var answer in answers)
        {
            if (answer.Decision is not { Kind: DecisionKind.Decided or DecisionKind.Known, Outcome: { } outcome } decision)
                continue;
            if (answer.IsRepeated && decision.Kind == DecisionKind.Known)
                continue;
            decided.Add(outcome);
            codes.Add(outcome.Currency);
            foreach (var entry in outcome.Entries)
                codes.Add(entry.Amount.Currency);
        }
        if (decided.Count == 0)
            return;

        var currencies = FrozenDictionary<string, Currency>.Empty;
        await AskAsync(async () => currencies = await catalog.GetAsync(codes, cancellationToken), cancellationToken);
        await events.PublishAsync(decided, currencies, channel, cancellationToken);
    }

    private async Task<IReadOnlySet<ulong>> DeadLetterAsync(PostedBatch batch, IChannel channel, CancellationToken cancellationToken)
    {
        var refused = new HashSet<ulong>();
        var answered = 0;
        foreach (var delivery in batch.Deliveries)
        {
            if (delivery.Content.Unknown.Count > 0)
            {
                await AskAsync(() => PendingCommands.ParkAsync(database, delivery.Content.Unknown, TimeSpan.Zero, cancellationToken), cancellationToken);
                LogUnknown(delivery.Content.Unknown.Count, delivery.Content.Unknown[0].Kind, delivery.Content.Unknown[0].Version);
            }
            foreach (var message in delivery.Content.Unreadable)
            {
                const string Reason = "The message is not an envelope of commands.";
                await SetAsideAsync(delivery, message, Reason);
                foreach (var id in EnvelopeReader.IdsIn(message))
                    await AskAsync(() => MarkFailedAsync(id, Reason, cancellationToken), cancellationToken);
            }

            for (var end = answered + delivery.Commands.Count; answered < end; answered++)
            {
                var decision = batch.Answers[answered].Decision;
                if (decision.Failure is not { } reason)
                    continue;
                await SetAsideAsync(delivery, JsonSerializer.SerializeToUtf8Bytes(new Envelope([decision.Command]), MessageJson.Default.Envelope), reason);
            }
        }
        return refused;

        async Task SetAsideAsync(Delivery delivery, ReadOnlyMemory<byte> message, string reason)
        {
            try
            {
                await DeadLetterAsync(channel, message, reason, cancellationToken);
            }
            catch (PublishException e) when (!e.IsReturn)
            {
                refused.Add(delivery.Tag);
                LogFull(reason);
            }
        }
    }

    private async Task MarkFailedAsync(Guid id, string reason, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await FailedCommands.MarkAsync(connection, id, reason, TimeSpan.FromHours(options.Value.FailedHours), cancellationToken);
    }

    // Repeats a call while PostgreSQL is unavailable. Ending the session instead would make RabbitMQ deliver the messages again and
    // count that.
    private async Task AskAsync(Func<Task> ask, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                await ask();
                return;
            }
            catch (Exception e) when (DatabaseFaults.Of(e) != DatabaseFault.Statement && !cancellationToken.IsCancellationRequested)
            {
                if (_absences.IsDue(Connections.ReasonOf(e)))
                    LogAway(Connections.ReasonOf(e));
            }
            await Task.Delay(Pause, clock, cancellationToken);
        }
    }

    /// <summary>Sends a message to the dead letters, and returns when RabbitMQ has confirmed it.</summary>
    /// <param name="channel">A channel with publisher confirms.</param>
    internal static async Task DeadLetterAsync(IChannel channel, ReadOnlyMemory<byte> message, string reason, CancellationToken cancellationToken) =>
        await channel.BasicPublishAsync("", Topology.DeadLetterQueue, mandatory: true, new BasicProperties
        {
            ContentType = "application/json",
            DeliveryMode = DeliveryModes.Persistent,
            Headers = new Dictionary<string, object?> { [Topology.ReasonHeader] = reason },
        }, message, cancellationToken);

    [LoggerMessage(LogLevel.Warning, "The queue of dead letters is full. RabbitMQ keeps the message until the queue has room: {Reason}")]
    private partial void LogFull(string reason);

    [LoggerMessage(LogLevel.Warning, "PostgreSQL is unavailable; the answers of a batch wait for it: {Reason}")]
    private partial void LogAway(string reason);

    [LoggerMessage(LogLevel.Warning, "{Count} commands wait for a worker of a later version: this worker does not know kind {Kind} in version {Version}")]
    private partial void LogUnknown(int count, string kind, int version);
}
