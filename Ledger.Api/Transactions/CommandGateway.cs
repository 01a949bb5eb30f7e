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
/// Sends commands to the worker and waits for its replies. Commands that gather while the last message is being confirmed
/// travel together as the next one: alone when it is quiet, by the hundred under load, and no timer decides.
/// </summary>
public sealed partial class CommandGateway(
    BrokerConnection broker, IHostApplicationLifetime lifetime, TimeProvider clock, IOptions<GatewayOptions> options, ILogger<CommandGateway> logger)
    : SessionService(logger, clock)
{
    // A process that is asked to stop answers what is under way before it is killed: as pending, if it must be.
    private static readonly TimeSpan PatienceWhileStopping = TimeSpan.FromSeconds(1);

    // One timer looks after all who wait: a timer for each, and taking it back, costs more than the waiting does.
    private static readonly TimeSpan ExpiryInterval = TimeSpan.FromMilliseconds(50);

    // A queue that refused a message counts as full for so long. What is recorded meanwhile is the relay's at once; sent from here and refused,
    // as the first after that time is if the queue is still full, it lies until the relay takes it for lost.
    private static readonly TimeSpan FullFor = TimeSpan.FromSeconds(30);

    private readonly OutgoingQueue _queue = new(options.Value.QueueLength);
    private readonly ConcurrentDictionary<Guid, Waiting> _waiting = new();
    // As long as the queue is full, each message is refused.
    private readonly OnceAMinute _refusals = new(clock);
    private Timer? _expiry;
    private long _fullUntil = long.MinValue;

    /// <summary>Sends a command and waits for its reply, whether the client stays or not.</summary>
    /// <param name="wait">How long at most; it may be up to 50 ms longer.</param>
    /// <returns>
    /// The reply, or null if there is none: because the wait ran out, or (<c>IsLost</c>) because the broker is away or takes no messages, refused
    /// the command, or was lost while it was under way. After null the command may or may not reach the worker.
    /// </returns>
    /// <exception cref="GatewayFullException">More commands wait to be sent than <see cref="GatewayOptions.QueueLength"/>; this one was not sent.</exception>
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
            // The session may have ended, and told everybody who waited, just before this one began to.
            return IsReady ? await answer.Task : (null, true);
        }
        finally
        {
            _waiting.TryRemove(command.Id, out _);
        }
    }

    /// <summary>Whether the broker is there and takes messages.</summary>
    public bool IsReady => IsOpen && !broker.IsBlocked;

    /// <summary>
    /// Whether a command can be sent now: the broker is there, its queue has not been full lately, and fewer than
    /// <see cref="GatewayOptions.QueueLength"/> wait.
    /// </summary>
    public bool CanPost => IsReady && _queue.HasRoom && Clock.GetTimestamp() >= Volatile.Read(ref _fullUntil);

    /// <summary>
    /// Sends a recorded command without waiting for a reply. Where that has become impossible since <see cref="CanPost"/> said
    /// otherwise it is not sent; then the relay sends it, as it does what the queue has lost.
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
        // What is under way is held up with the rest: it is sent when RabbitMQ takes messages again, and by the relay too.
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

        // A new queue for each session: the broker may not have noticed yet that the last one's connection is gone.
        var replyQueue = await InTimeAsync(replies.QueueDeclareAsync(
            queue: "", durable: false, exclusive: true, autoDelete: true, cancellationToken: stoppingToken));
        var consumer = new AsyncEventingBasicConsumer(replies);
        consumer.ReceivedAsync += (_, message) =>
        {
            Answer(message.Body);
            return Task.CompletedTask;
        };
        // The broker ends a consumer whose queue is deleted, and says so without closing the channel.
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
                : "RabbitMQ ended the consumer of replies");
        }

        Task<T> InTimeAsync<T>(Task<T> asked) => BrokerConnection.InTimeAsync(connection, asked, stoppingToken);
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
                // Refused (the queue is full) or returned (there is none): the broker does not have it, others may fare better.
                if (!e.IsReturn)
                    Volatile.Write(ref _fullUntil, Clock.GetTimestamp() + ((long)FullFor.TotalSeconds * Clock.TimestampFrequency));
                var reason = e.IsReturn ? "there is no queue" : "the queue takes no more";
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

    /// <summary>A request that waits for its reply, until <paramref name="deadline"/> by <see cref="Stopwatch"/>.</summary>
    private sealed class Waiting(long deadline) : TaskCompletionSource<(Reply? Reply, bool IsLost)>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public long Deadline => deadline;
    }

    [LoggerMessage(LogLevel.Warning, "RabbitMQ refuses commands, which are answered 202 instead: {Reason}")]
    private partial void LogRefused(string reason);
}

/// <summary>More commands wait than this process may hold.</summary>
public sealed class GatewayFullException() : Exception("Too many commands wait to be sent.");
