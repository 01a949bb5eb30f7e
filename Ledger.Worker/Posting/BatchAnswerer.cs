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
/// Tells the world what a batch decided, after its commit: replies to the API instances that wait, events to whoever
/// subscribed, and what could not be posted to the dead letters.
/// </summary>
internal sealed partial class BatchAnswerer(NpgsqlDataSource database, CurrencyCatalog catalog, TimeProvider clock, IOptions<WorkerOptions> options, ILogger<BatchAnswerer> logger)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    private static readonly BasicProperties ReplyProperties = new() { ContentType = "application/json", DeliveryMode = DeliveryModes.Transient };
    private static readonly BasicProperties EventProperties = new() { ContentType = TransactionEvents.ContentType, DeliveryMode = DeliveryModes.Persistent };

    private readonly OnceAMinute _refusals = new(clock);
    private readonly OnceAMinute _absences = new(clock);

    /// <summary>Returns when the broker has decided on events and confirmed dead letters; before that no message may be acknowledged.</summary>
    /// <param name="publishing">A channel with publisher confirms.</param>
    /// <param name="replying">A channel without: a reply that gets lost is found in the database.</param>
    /// <returns>
    /// The tags of messages that hold something for the dead letters, whose queue takes no more: to be rejected. RabbitMQ keeps such a message
    /// aside, and moves it there when there is room.
    /// </returns>
    public async Task<IReadOnlySet<ulong>> AnswerAsync(PostedBatch batch, IChannel publishing, IChannel replying, CancellationToken cancellationToken)
    {
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
        foreach (var instance in answers.Where(answer => answer.ReplyTo is not null && HasReply(answer.Result)).GroupBy(answer => answer.ReplyTo!))
        {
            var replies = new Replies([.. instance.Select(answer => ReplyTo(answer.Result))]);
            await channel.BasicPublishAsync(
                "", instance.Key, mandatory: false, ReplyProperties, JsonSerializer.SerializeToUtf8Bytes(replies, MessageJson.Default.Replies), cancellationToken);
        }
    }

    // To a command that is not decided there is nothing to say: the client is told that it is pending.
    private static bool HasReply(PostingResult result) => result.Decision is { Kind: not DecisionKind.AwaitsOperator };

    private static Reply ReplyTo(PostingResult result) => result switch
    {
        { Decision.Outcome: { Status: TransactionStatus.Failed } failed } => new Reply(result.Command.Id, ReplyKind.Failed, failed.Id),
        { Decision: { Kind: DecisionKind.Decided or DecisionKind.Known, Outcome: { } outcome } } => new Reply(
            outcome.Id,
            outcome.Status == TransactionStatus.Posted ? ReplyKind.Posted : ReplyKind.Rejected,
            outcome.Id,
            outcome.DecidedAt,
            outcome.Rejection,
            OwnEntries(outcome)),
        { Decision: { Kind: DecisionKind.Replayed } replayed } => new Reply(result.Command.Id, ReplyKind.Replayed, replayed.TransactionId),
        _ => new Reply(result.Command.Id, ReplyKind.KeyReused, result.Decision!.TransactionId),
    };

    private static List<Entry> OwnEntries(Transaction transaction)
    {
        var own = new List<Entry>(1);
        foreach (var entry in transaction.Entries)
        {
            if (entry.OwnerId == transaction.OwnerId)
                own.Add(entry);
        }
        return own;
    }

    private async Task PublishEventsAsync(IReadOnlyList<Answer> answers, IChannel channel, CancellationToken cancellationToken)
    {
        // A known outcome is announced again: the worker that decided it may have died before it could.
        var byKey = new Dictionary<string, List<Transaction>>();
        foreach (var answer in answers)
        {
            if (answer.Result.Decision is not { Kind: DecisionKind.Decided or DecisionKind.Known, Outcome: { } outcome } decision)
                continue;
            if (answer.IsRepeated && decision.Kind == DecisionKind.Known)
                continue;
            var key = TransactionEvents.RoutingKey(outcome);
            if (!byKey.TryGetValue(key, out var transactions))
                byKey[key] = transactions = [];
            transactions.Add(outcome);
        }
        if (byKey.Count == 0)
            return;

        var currencies = FrozenDictionary<string, Currency>.Empty;
        await AskAsync(
            async () => currencies = await catalog.GetAsync(byKey.Values.Select(transactions => transactions[0].Currency), cancellationToken), cancellationToken);

        var publishing = new List<Task>(byKey.Count);
        foreach (var (key, transactions) in byKey)
        {
            // Rejected because there is no such currency: then there is no way to write the amount either.
            if (!currencies.TryGetValue(transactions[0].Currency, out var currency))
                continue;
            foreach (var body in TransactionEvents.Write(transactions, currency))
                publishing.Add(PublishEventsAsync(channel, key, body, cancellationToken));
        }
        await Task.WhenAll(publishing);
        PostingMetrics.Events.Add(byKey.Values.Sum(transactions => transactions.Count));
    }

    private async Task PublishEventsAsync(IChannel channel, string key, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        try
        {
            await channel.BasicPublishAsync(Topology.EventExchange, key, mandatory: false, EventProperties, body, cancellationToken);
        }
        catch (PublishException)
        {
            // A subscriber's queue takes no more. The others have it, and nobody's money waits for that one (decision 6).
            PostingMetrics.RefusedEvents.Add(1);
            if (_refusals.IsDue())
                LogRefused(key);
        }
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
                var result = batch.Answers[answered].Result;
                if (result.Failure is not { } reason)
                    continue;
                await SetAsideAsync(delivery, JsonSerializer.SerializeToUtf8Bytes(new Envelope([result.Command]), MessageJson.Default.Envelope), reason);
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

    // Asks the database until it answers. It may have gone away since it committed the batch: that is no reason to give up RabbitMQ, which would
    // deliver the messages once more and count that.
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

    /// <param name="channel">With publisher confirms: returns when the broker has it.</param>
    internal static async Task DeadLetterAsync(IChannel channel, ReadOnlyMemory<byte> message, string reason, CancellationToken cancellationToken) =>
        await channel.BasicPublishAsync("", Topology.DeadLetterQueue, mandatory: true, new BasicProperties
        {
            ContentType = "application/json",
            DeliveryMode = DeliveryModes.Persistent,
            Headers = new Dictionary<string, object?> { [Topology.ReasonHeader] = reason },
        }, message, cancellationToken);

    [LoggerMessage(LogLevel.Warning, "The queue of dead letters takes no more. RabbitMQ keeps the message until it does: {Reason}")]
    private partial void LogFull(string reason);

    [LoggerMessage(LogLevel.Warning, "The database is away, and a batch waits to be announced, trying again: {Reason}")]
    private partial void LogAway(string reason);

    [LoggerMessage(LogLevel.Warning, "{Count} commands wait for a worker of a later version: this one does not know kind {Kind} in version {Version}")]
    private partial void LogUnknown(int count, string kind, int version);

    [LoggerMessage(LogLevel.Warning, "A queue that is bound to ledger.events refused what was published as {RoutingKey}; it does not get it again")]
    private partial void LogRefused(string routingKey);
}
