using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

namespace Ledger.Tests.Messaging;

/// <summary>A client of the broker beside API and worker: publishes commands, listens to events and to dead letters.</summary>
internal sealed class Broker : IAsyncDisposable
{
    private readonly IConnection _connection;
    private readonly IChannel _channel;

    private Broker(IConnection connection, IChannel channel) => (_connection, _channel) = (connection, channel);

    public static async Task<Broker> ConnectAsync(Uri address)
    {
        var connection = await new ConnectionFactory { Uri = address, AutomaticRecoveryEnabled = false }.CreateConnectionAsync();
        return new Broker(connection, await connection.CreateChannelAsync(
            new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true)));
    }

    public Task PublishAsync(params Command[] commands) =>
        PublishAsync(JsonSerializer.SerializeToUtf8Bytes(new Envelope(commands), MessageJson.Default.Envelope));

    /// <summary>A message as it stands; returns when the queue has it.</summary>
    public async Task PublishAsync(byte[] message, IDictionary<string, object?>? headers = null) => await _channel.BasicPublishAsync(
        "", Topology.CommandQueue, mandatory: true, new BasicProperties { DeliveryMode = DeliveryModes.Persistent, Headers = headers }, message);

    /// <summary>Messages in a queue that no consumer holds.</summary>
    public Task<uint> WaitingAsync(string queue = Topology.CommandQueue) => _channel.MessageCountAsync(queue);

    /// <summary>Collects what is published to the events' exchange from now on.</summary>
    public async Task<ConcurrentQueue<Message>> ListenAsync(string routingKey)
    {
        var queue = await _channel.QueueDeclareAsync(queue: "", durable: false, exclusive: true, autoDelete: true);
        await _channel.QueueBindAsync(queue.QueueName, Topology.EventExchange, routingKey);
        return await CollectAsync(queue.QueueName);
    }

    /// <summary>Binds a queue with room for one message to the events' exchange, which refuses what comes after it; returns its name.</summary>
    public async Task<string> BindQueueOfOneAsync(string routingKey)
    {
        var queue = await _channel.QueueDeclareAsync(
            queue: "", durable: false, exclusive: true, autoDelete: true, new Dictionary<string, object?> { ["x-max-length"] = 1, ["x-overflow"] = "reject-publish" });
        await _channel.QueueBindAsync(queue.QueueName, Topology.EventExchange, routingKey);
        return queue.QueueName;
    }

    /// <summary>Takes dead letters out of their queue.</summary>
    public Task<ConcurrentQueue<Message>> DeadLettersAsync() => CollectAsync(Topology.DeadLetterQueue);

    public async ValueTask DisposeAsync()
    {
        await _channel.DisposeAsync();
        await _connection.DisposeAsync();
    }

    private async Task<ConcurrentQueue<Message>> CollectAsync(string queue)
    {
        var messages = new ConcurrentQueue<Message>();
        var consumer = new AsyncEventingBasicConsumer(_channel);
        consumer.ReceivedAsync += (_, message) =>
        {
            var reason = message.BasicProperties.Headers?.TryGetValue(Topology.ReasonHeader, out var value) == true ? Encoding.UTF8.GetString((byte[])value!) : null;
            messages.Enqueue(new Message(message.RoutingKey, message.BasicProperties.ContentType, reason, message.Body.ToArray()));
            return Task.CompletedTask;
        };
        await _channel.BasicConsumeAsync(queue, autoAck: true, consumer);
        return messages;
    }
}

internal sealed record Message(string RoutingKey, string? ContentType, string? Reason, byte[] Body)
{
    public string Text => Encoding.UTF8.GetString(Body);
}
