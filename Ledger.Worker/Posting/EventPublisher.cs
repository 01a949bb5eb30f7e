using System.Collections.Frozen;
using Ledger.Core.Currencies;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using Ledger.ServiceDefaults;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace Ledger.Worker.Posting;

/// <summary>Publishes decided transactions as events to <c>ledger.events</c>.</summary>
internal sealed partial class EventPublisher(TimeProvider clock, ILogger<EventPublisher> logger)
{
    private static readonly BasicProperties Properties = new() { ContentType = TransactionEvents.ContentType, DeliveryMode = DeliveryModes.Persistent };

    private readonly OnceAMinute _refusals = new(clock);

    /// <summary>Returns when RabbitMQ has decided on all of them.</summary>
    /// <param name="currencies">Those of the transactions and their entries. One whose currency is missing is not published: its amount cannot be written.</param>
    /// <param name="channel">A channel with publisher confirms.</param>
    public async Task PublishAsync(
        IReadOnlyList<Transaction> decided, FrozenDictionary<string, Currency> currencies, IChannel channel, CancellationToken cancellationToken)
    {
        var byKey = new Dictionary<string, List<Transaction>>();
        foreach (var transaction in decided)
        {
            var key = TransactionEvents.RoutingKey(transaction);
            if (!byKey.TryGetValue(key, out var transactions))
                byKey[key] = transactions = [];
            transactions.Add(transaction);
        }
        var publishing = new List<Task>(byKey.Count);
        foreach (var (key, transactions) in byKey)
        {
            if (!currencies.ContainsKey(transactions[0].Currency))
                continue;
            foreach (var body in TransactionEvents.Write(transactions, currencies))
                publishing.Add(PublishAsync(channel, key, body, cancellationToken));
        }
        await Task.WhenAll(publishing);
        PostingMetrics.Events.Add(decided.Count);
    }

    private async Task PublishAsync(IChannel channel, string key, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        try
        {
            await channel.BasicPublishAsync(Topology.EventExchange, key, mandatory: false, Properties, body, cancellationToken);
        }
        catch (PublishException)
        {
            // The queue of one subscriber is full. The others have the events, and posting does not wait for that one (decision 6).
            PostingMetrics.RefusedEvents.Add(1);
            if (_refusals.IsDue())
                LogRefused(key);
        }
    }

    [LoggerMessage(LogLevel.Warning, "A queue that is bound to ledger.events refused events with routing key {RoutingKey}; they are not published to it again")]
    private partial void LogRefused(string routingKey);
}
