using RabbitMQ.Client;

namespace Ledger.Core.Messaging;

/// <summary>The queues and exchanges that API and worker share. Either declares them, whoever is up first.</summary>
public static class Topology
{
    /// <summary>Commands, as envelopes: a quorum queue.</summary>
    public const string CommandQueue = "ledger.commands";

    /// <summary>Commands that no batch could post, each with its reason in header <see cref="ReasonHeader"/>.</summary>
    public const string DeadLetterQueue = "ledger.commands.dead";

    /// <summary>Topic exchange of what happened, as JSON arrays of CloudEvents 1.0.</summary>
    public const string EventExchange = "ledger.events";

    public const string ReasonHeader = "x-ledger-reason";

    /// <summary>Marks a message of the relay: another one with the same commands may be in the queue.</summary>
    public const string RelayedHeader = "x-ledger-relayed";

    /// <summary>Messages (envelopes) that the command queue holds before the broker refuses more, and the API records commands as pending instead.</summary>
    public const int CommandQueueLength = 100_000;

    /// <summary>Declares what is not there yet.</summary>
    public static async Task DeclareAsync(IChannel channel, CancellationToken cancellationToken)
    {
        await channel.ExchangeDeclareAsync(EventExchange, ExchangeType.Topic, durable: true, autoDelete: false, cancellationToken: cancellationToken);
        await channel.QueueDeclareAsync(DeadLetterQueue, durable: true, exclusive: false, autoDelete: false,
            new Dictionary<string, object?>
            {
                ["x-queue-type"] = "quorum",
                // RabbitMQ 4 drops what was looked at and given back 20 times, unless it is told a limit.
                ["x-delivery-limit"] = 1_000_000,
            }, cancellationToken: cancellationToken);
        await channel.QueueDeclareAsync(CommandQueue, durable: true, exclusive: false, autoDelete: false,
            new Dictionary<string, object?>
            {
                ["x-queue-type"] = "quorum",
                // A full queue says no to the publisher; it never drops what it has.
                ["x-overflow"] = "reject-publish",
                ["x-max-length"] = CommandQueueLength,
                // The worker isolates what kills it long before; this only keeps RabbitMQ 4 from applying a limit of its own
                // (20) to deliveries that ended with a lost connection. Whatever reaches it is kept, never dropped.
                ["x-delivery-limit"] = 1000,
                ["x-dead-letter-exchange"] = "",
                ["x-dead-letter-routing-key"] = DeadLetterQueue,
                ["x-dead-letter-strategy"] = "at-least-once",
            }, cancellationToken: cancellationToken);
    }
}
