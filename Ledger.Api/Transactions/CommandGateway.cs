using System.Buffers;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.Options;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

namespace Ledger.Api.Transactions;

/// <summary>
/// Sends commands to the worker and receives its replies. All commands that arrive while RabbitMQ confirms a message travel in
/// the next message: one command at low load, hundreds at high load, without a timer.
/// </summary>
public sealed partial class CommandGateway(
    BrokerConnection broker, IHostApplicationLifetime lifetime, TimeProvider clock, IOptions<GatewayOptions> options, ILogger<CommandGateway> logger)
    : SessionService(logger, clock)
{
    // A stopping process ends all waits after this time, so that it answers its requests (202 if undecided) before it is killed.
    private static readonly TimeSpan PatienceWhileStopping = TimeSpan.FromSeconds(1);

    // One timer ends all waits: a timer per request costs more than the wait itself.
    private static readonly TimeSpan ExpiryInterval = TimeSpan.FromMilliseconds(50);

    // For 30 s after a refusal, new 202 commands go straight to the relay: a refused message would otherwise wait for `RelayAgainSeconds`.
    private static readonly TimeSpan FullFor = TimeSpan.FromSeconds(30);

    private readonly OutgoingQueue _queue = new(options.Value.QueueLength);
    private readonly ConcurrentDictionary<Guid, Waiting> _waiting = new();
    private readonly OnceAMinute _refusals = new(clock);
    private Timer? _expiry;
    private long _fullUntil = long.MinValue;

    /// <summary>Sends a command and waits for its reply. A client that disconnects does not end the wait.</summary>
    /// <param name="wait">The longest wait; it ends up to 50 ms later.</param>
    /// <returns>
    /// The reply, or null. Null with <c>IsLost</c>: RabbitMQ is not connected, takes no messages, refused the command, or was
    /// disconnected before its confirm. Null otherwise: the wait ended. After null, the command may or may not reach the worker.
    /// </returns>
    /// <exception cref="GatewayFullException"><see cref="GatewayOptions.QueueLength"/> commands wait already; this one was not sent.</exception>
    public async Task<(Reply? Reply, bool IsLost)> SendAsync(Command command, TimeSpan wait)
    {
        if (!IsReady)
            return (null, true);

        var answer = new Waiting(Stopwatch.GetTimestamp() + (long)(wait.TotalSeconds * Stopwatch.Frequency));
        _waiting[command.Id] = answer;
        try
        {
            if (!_queue.TryAdd(command))
                throw new GatewayFullException();
            // The session may have ended all waits just before this one was added.
            return IsReady ? await answer.Task : (null, true);
        }
        finally
        {
            _waiting.TryRemove(command.Id, out _);
        }
    }

    /// <summary>Whether RabbitMQ is connected and takes messages.</summary>
    public bool IsReady => IsOpen && !broker.IsBlocked;

    /// <summary>
    /// Whether a command can be sent now: RabbitMQ is ready, refused no message in the last 30 s, and fewer than
    /// <see cref="GatewayOptions.QueueLength"/> commands wait.
    /// </summary>
    public bool CanPost => IsReady && _queue.HasRoom && Clock.GetTimestamp() >= Volatile.Read(ref _fullUntil);

    /// <summary>
    /// Sends a recorded command and does not wait for a reply. A command that cannot be sent any more is left to the relay, which
    /// sends every recorded command that the queue lost.
    /// </summary>
    public void Post(Command command)
    {
        if (IsReady)
            _queue.TryAdd(command);
    }

    /// <inheritdoc />
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        lifetime.ApplicationStopping.Register(() => _ = Task.Delay(PatienceWhileStopping, CancellationToken.None).ContinueWith(_ => GiveUp(), TaskScheduler.Default));
        // A blocked connection holds back messages in flight too, so their requests would wait in vain.
        broker.Blocked += GiveUp;
        _expiry = new Timer(_ => Expire(), null, ExpiryInterval, ExpiryInterval);
        await base.StartAsync(cancellationToken);
    }

    /// <inheritdoc />
    public override void Dispose()
    {
        _expiry?.Dispose();
        base.Dispose();
    }

    /// <inheritdoc />
    protected override void OnSessionEnded()
    {
        while (_queue.Reader.TryRead(out var unsent))
            unsent.Span?.Dispose();
        GiveUp();
    }

    private void GiveUp()
    {
        foreach (var answer in _waiting.Values)
            answer.TrySetResult((null, true));
    }

    private void Expire()
    {
        var now = Stopwatch.GetTimestamp();
        foreach (var answer in _waiting.Values)
        {
            if (answer.Deadline <= now)
                answer.TrySetResult((null, false));
        }
    }

    /// <inheritdoc />
    protected override async Task RunSessionAsync(CancellationToken stoppingToken)
    {
        var connection = await broker.OpenAsync(stoppingToken);
        using var closed = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
        await using var replies = await InTimeAsync(connection.CreateChannelAsync(cancellationToken: stoppingToken));
        await using var commands = await InTimeAsync(connection.CreateChannelAsync(
            new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true), stoppingToken));
        replies.ChannelShutdownAsync += (_, _) => closed.CancelAsync();
        commands.ChannelShutdownAsync += (_, _) => closed.CancelAsync();

        // A new queue per session: the exclusive queue of a lost connection stays locked until RabbitMQ notices the loss.
        var replyQueue = await InTimeAsync(replies.QueueDeclareAsync(
            queue: "", durable: false, exclusive: true, autoDelete: true, cancellationToken: stoppingToken));
        var consumer = new AsyncEventingBasicConsumer(replies);
        consumer.ReceivedAsync += (_, message) =>
        {
            Answer(message.Body);
            return Task.CompletedTask;
        };
        // RabbitMQ cancels the consumer of a deleted queue without closing the channel.
        consumer.UnregisteredAsync += (_, _) => closed.CancelAsync();
        await InTimeAsync(replies.BasicConsumeAsync(replyQueue.QueueName, autoAck: true, consumer, stoppingToken));

        IsOpen = true;
        try
        {
            await PublishAsync(commands, replyQueue.QueueName, closed.Token);
        }
        catch (OperationCanceledException) when (!stoppingToken.IsCancellationRequested)
        {
            throw new IOException((commands.CloseReason ?? replies.CloseReason) is { } reason
                ? $"RabbitMQ closed the channel: {reason}"
                : "RabbitMQ cancelled the consumer of replies");
        }

        Task<T> InTimeAsync<T>(Task<T> call) => BrokerConnection.InTimeAsync(connection, call, stoppingToken);
    }

    private async Task PublishAsync(IChannel channel, string replyQueue, CancellationToken cancellationToken)
    {
        var gathered = new List<Command>(options.Value.MaxEnvelope);
        var spans = new List<Activity>();
        var body = new ArrayBufferWriter<byte>(64 * 1024);
        await using var json = new Utf8JsonWriter(body, new JsonWriterOptions { SkipValidation = true });
        var properties = new BasicProperties { DeliveryMode = DeliveryModes.Persistent, ContentType = "application/json", ReplyTo = replyQueue };

        while (await _queue.Reader.WaitToReadAsync(cancellationToken))
        {
            gathered.Clear();
            spans.Clear();
            var text = 0;
            while (gathered.Count < options.Value.MaxEnvelope && text < Envelope.MaxText && _queue.Reader.TryRead(out var outgoing))
            {
                gathered.Add(outgoing.Command);
                text += Envelope.TextOf(outgoing.Command);
                if (outgoing.Span is { } span)
                    spans.Add(span.SetTag("messaging.batch.message_count", gathered.Count));
            }

            body.ResetWrittenCount();
            json.Reset();
            JsonSerializer.Serialize(json, new Envelope(gathered), MessageJson.Default.Envelope);
            json.Flush();
            try
            {
                await broker.PublishCommandsAsync(channel, properties, body.WrittenMemory, cancellationToken);
            }
            catch (RabbitMQ.Client.Exceptions.PublishException e)
            {
                // Refused (the queue is full) or returned (the queue does not exist): RabbitMQ does not have the message.
                if (!e.IsReturn)
                    Volatile.Write(ref _fullUntil, Clock.GetTimestamp() + ((long)FullFor.TotalSeconds * Clock.TimestampFrequency));
                var reason = e.IsReturn ? "the queue does not exist" : "the queue is full";
                if (_refusals.IsDue(reason))
                    LogRefused(reason);
                foreach (var command in gathered)
                {
                    if (_waiting.TryGetValue(command.Id, out var answer))
                        answer.TrySetResult((null, true));
                }
                foreach (var span in spans)
                    span.SetStatus(ActivityStatusCode.Error);
                if (e.IsReturn)
                    throw;
            }
            finally
            {
                foreach (var span in spans)
                    span.Dispose();
            }
        }
    }

    private void Answer(ReadOnlyMemory<byte> message)
    {
        var replies = JsonSerializer.Deserialize(message.Span, MessageJson.Default.Replies)!;
        foreach (var reply in replies.Items)
        {
            if (_waiting.TryGetValue(reply.CommandId, out var answer))
                answer.TrySetResult((reply, false));
        }
    }

    /// <summary>A request that waits for its reply.</summary>
    /// <param name="deadline">A timestamp of <see cref="Stopwatch"/>.</param>
    private sealed class Waiting(long deadline) : TaskCompletionSource<(Reply? Reply, bool IsLost)>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public long Deadline => deadline;
    }

    [LoggerMessage(LogLevel.Warning, "RabbitMQ refuses commands, so the API answers 202: {Reason}")]
    private partial void LogRefused(string reason);
}

/// <summary><see cref="GatewayOptions.QueueLength"/> commands wait to be sent.</summary>
public sealed class GatewayFullException() : Exception("Too many commands wait to be sent to RabbitMQ.");
