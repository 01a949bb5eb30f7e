using RabbitMQ.Client;

namespace Ledger.Core.Messaging;

/// <summary>The queues and exchanges that API and worker share. Each process declares them.</summary>
public static class Topology
{
    /// <summary>The quorum queue of commands, as envelopes.</summary>
    public const string CommandQueue = "ledger.commands";

    /// <summary>Commands that could not be posted, each with the reason in header <see cref="ReasonHeader"/>.</summary>
    public const string DeadLetterQueue = "ledger.commands.dead";

    /// <summary>The topic exchange of events, as JSON arrays of CloudEvents 1.0.</summary>
    public const string EventExchange = "ledger.events";

    public const string ReasonHeader = "x-ledger-reason";

    /// <summary>Marks a message of the relay: the queue may have another message with the same commands.</summary>
    public const string RelayedHeader = "x-ledger-relayed";

    /// <summary>Messages (envelopes) in the command queue above which RabbitMQ refuses more; the API then records commands as pending.</summary>
    public const int CommandQueueLength = 100_000;

    /// <summary>Declares queues and exchanges that do not exist yet.</summary>
    public static async Task DeclareAsync(IChannel channel, CancellationToken cancellationToken)
    {
        await channel.ExchangeDeclareAsync(EventExchange, ExchangeType.Topic, durable: true, autoDelete: false, cancellationToken: cancellationToken);
        await channel.QueueDeclareAsync(DeadLetterQueue, durable: true, exclusive: false, autoDelete: false,
            new Dictionary<string, object?>
            {
                ["x-queue-type"] = "quorum",
                // RabbitMQ 4 drops a message that was read and returned 20 times, unless a limit is declared.
                ["x-delivery-limit"] = 1_000_000,
            }, cancellationToken: cancellationToken);
        await channel.QueueDeclareAsync(CommandQueue, durable: true, exclusive: false, autoDelete: false,
            new Dictionary<string, object?>
            {
                ["x-queue-type"] = "quorum",
                // A full queue refuses new messages and never drops old ones.
                ["x-overflow"] = "reject-publish",
                ["x-max-length"] = CommandQueueLength,
                // The worker isolates a poisonous message long before this limit, which replaces the default of RabbitMQ 4 (20).
                // A message that reaches the limit goes to the dead letters and is not dropped.
                ["x-delivery-limit"] = 1000,
                ["x-dead-letter-exchange"] = "",
                ["x-dead-letter-routing-key"] = DeadLetterQueue,
                ["x-dead-letter-strategy"] = "at-least-once",
            }, cancellationToken: cancellationToken);
    }
}
