using System.Threading.Channels;
using Ledger.Core.Messaging;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.Options;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

namespace Ledger.Worker.Posting;

/// <summary>
/// Takes the messages that wait in the command queue, posts them as one batch, and sends the answers while the next batch is
/// posted. A message is acknowledged after its commands are committed and their events published. Until then the queue keeps the
/// message: the unacknowledged message is the outbox.
/// </summary>
internal sealed partial class CommandConsumer(
    BrokerConnection broker, BatchPoster poster, BatchAnswerer answerer, TimeProvider clock, IOptions<WorkerOptions> options,
    ILogger<CommandConsumer> logger) : SessionService(logger, clock)
{
    private static readonly TimeSpan PatienceWhileStopping = TimeSpan.FromSeconds(3);

    // RabbitMQ before 4.0 keeps a consumer whose queue is deleted and declared again within about 30 ms, but delivers nothing to it.
    // So a session that receives nothing is opened anew after this time.
    private static readonly TimeSpan MaxIdle = TimeSpan.FromSeconds(20);

    private long _waiting;
    private long _lastProgress = clock.GetTimestamp();

    /// <summary>Whether the worker consumes commands, and RabbitMQ takes what the worker publishes.</summary>
    public bool IsReady => IsOpen && !broker.IsBlocked;

    /// <summary>How long messages have waited in this process since the last one was answered; zero if none waits.</summary>
    public TimeSpan Stalled => Interlocked.Read(ref _waiting) == 0 ? TimeSpan.Zero : Clock.GetElapsedTime(Interlocked.Read(ref _lastProgress));

    /// <inheritdoc />
    protected override void OnSessionEnded() => Interlocked.Exchange(ref _waiting, 0);

    /// <inheritdoc />
    protected override async Task RunSessionAsync(CancellationToken stoppingToken)
    {
        var connection = await broker.OpenAsync(stoppingToken);
        // The session ends with its channels. RabbitMQ delivers unacknowledged messages again, to this worker or another.
        using var closed = new CancellationTokenSource();
        await using var consuming = await InTimeAsync(connection.CreateChannelAsync(cancellationToken: stoppingToken));
        await using var publishing = await InTimeAsync(connection.CreateChannelAsync(
            new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true), stoppingToken));
        await using var replying = await InTimeAsync(connection.CreateChannelAsync(cancellationToken: stoppingToken));
        consuming.ChannelShutdownAsync += (_, _) => closed.CancelAsync();
        publishing.ChannelShutdownAsync += (_, _) => closed.CancelAsync();

        // Bounded by the prefetch.
        var deliveries = Channel.CreateUnbounded<Delivery>(new UnboundedChannelOptions { SingleReader = true });
        var posted = Channel.CreateBounded<PostedBatch>(new BoundedChannelOptions(1) { SingleReader = true, SingleWriter = true });

        await BrokerConnection.InTimeAsync(
            connection, consuming.BasicQosAsync(0, (ushort)Math.Min(options.Value.Prefetch, ushort.MaxValue), global: false, stoppingToken), stoppingToken);
        var consumer = new AsyncEventingBasicConsumer(consuming);
        consumer.ReceivedAsync += (_, message) =>
        {
            if (Interlocked.Increment(ref _waiting) == 1)
                Interlocked.Exchange(ref _lastProgress, Clock.GetTimestamp());
            deliveries.Writer.TryWrite(Read(message));
            return Task.CompletedTask;
        };
        // RabbitMQ cancels the consumer of a deleted queue without closing the channel.
        consumer.UnregisteredAsync += (_, _) => closed.CancelAsync();
        await InTimeAsync(consuming.BasicConsumeAsync(Topology.CommandQueue, autoAck: false, consumer, stoppingToken));
        Interlocked.Exchange(ref _lastProgress, Clock.GetTimestamp());
        IsOpen = true;
        await using var idle = Clock.CreateTimer(_ => EndIfIdle(deliveries.Writer), null, MaxIdle, MaxIdle / 4);

        // A stopping process takes no more messages and finishes those that it has, within a bound. RabbitMQ delivers the others
        // to another worker.
        using var taking = CancellationTokenSource.CreateLinkedTokenSource(closed.Token, stoppingToken);
        using var stopping = stoppingToken.Register(() => closed.CancelAfter(PatienceWhileStopping));
        var answering = AnswerAsync(consuming, publishing, replying, posted.Reader, closed);
        try
        {
            try
            {
                await PostAsync(deliveries.Reader, posted.Writer, taking.Token, closed.Token);
            }
            finally
            {
                posted.Writer.TryComplete();
                await answering;
            }
        }
        catch (OperationCanceledException) when (!stoppingToken.IsCancellationRequested)
        {
            throw new IOException((consuming.CloseReason ?? publishing.CloseReason) is { } reason
                ? $"RabbitMQ closed the channel: {reason}"
                : "RabbitMQ cancelled the consumer of commands; the queue may have been deleted");
        }
        // No message came for a while. RabbitMQ may be silent, so the channel closes and the next session consumes anew.
        await BrokerConnection.InTimeAsync(connection, consuming.CloseAsync(stoppingToken), stoppingToken);

        Task<T> InTimeAsync<T>(Task<T> asked) => BrokerConnection.InTimeAsync(connection, asked, stoppingToken);
    }

    private void EndIfIdle(ChannelWriter<Delivery> deliveries)
    {
        // A blocked RabbitMQ takes no new consumer either.
        if (!broker.IsBlocked && Interlocked.Read(ref _waiting) == 0 && Clock.GetElapsedTime(Interlocked.Read(ref _lastProgress)) >= MaxIdle)
            deliveries.TryComplete();
    }

    private async Task PostAsync(
        ChannelReader<Delivery> deliveries, ChannelWriter<PostedBatch> posted, CancellationToken taking, CancellationToken cancellationToken)
    {
        while (await deliveries.WaitToReadAsync(taking))
        {
            taking.ThrowIfCancellationRequested();
            var gathered = new List<Delivery>();
            var count = 0;
            while (count < options.Value.MaxBatch && deliveries.TryPeek(out var next))
            {
                // A message that was delivered too often is posted alone: it may have brought its worker down.
                var isSuspect = next.Number >= options.Value.IsolateAtDelivery;
                if (isSuspect && gathered.Count > 0)
                    break;
                deliveries.TryRead(out _);
                gathered.Add(next);
                count += next.Commands.Count;
                if (isSuspect)
                    break;
            }

            await posted.WriteAsync(
                gathered[0].Number >= options.Value.IsolateAtDelivery
                    ? await PostSuspectAsync(gathered[0], cancellationToken)
                    : await PostTogetherAsync(gathered, count, cancellationToken),
                cancellationToken);
        }
    }

    private async Task<PostedBatch> PostTogetherAsync(List<Delivery> deliveries, int count, CancellationToken cancellationToken)
    {
        var commands = new List<Command>(count);
        var origins = new List<Delivery>(count);
        foreach (var delivery in deliveries)
        {
            foreach (var command in delivery.Commands)
            {
                commands.Add(command);
                origins.Add(delivery);
            }
        }

        PostingMetrics.RecordAge(commands, Clock.GetUtcNow().UtcDateTime);
        var trace = BatchTrace.Start(commands);
        Decision[] decisions;
        using (trace?.StartStep("post batch", count))
            decisions = await poster.PostAsync(commands.ToArray(), cancellationToken);

        var answers = new Answer[decisions.Length];
        for (var i = 0; i < answers.Length; i++)
            answers[i] = AnswerOf(origins[i], decisions[i]);
        return new PostedBatch(deliveries, answers, trace);
    }

    private async Task<PostedBatch> PostSuspectAsync(Delivery delivery, CancellationToken cancellationToken)
    {
        LogSuspect(delivery.Number);
        var trace = BatchTrace.Start(delivery.Commands);
        var answers = new List<Answer>();
        using (trace?.StartStep("post one by one", delivery.Commands.Count))
        {
            foreach (var command in delivery.Commands)
                answers.Add(AnswerOf(delivery, await poster.PostAloneAsync(command, options.Value.AttemptsAlone, cancellationToken)));
        }
        return new PostedBatch([delivery], answers, trace);
    }

    // The first delivery of a relayed copy decided nothing before: the original message publishes the events.
    private static Answer AnswerOf(Delivery delivery, Decision decision) => new(delivery.ReplyTo, decision, delivery.IsRelayed && delivery.Number == 1);

    private async Task AnswerAsync(
        IChannel consuming, IChannel publishing, IChannel replying, ChannelReader<PostedBatch> posted, CancellationTokenSource closed)
    {
        try
        {
            await using var acknowledgements = new Acknowledgements(consuming, Math.Max(1, options.Value.Prefetch / 4), closed);
            await foreach (var batch in posted.ReadAllAsync(closed.Token))
            {
                var refused = await answerer.AnswerAsync(batch, publishing, replying, closed.Token);
                if (refused.Count == 0)
                    await acknowledgements.AddAsync(batch.Deliveries[^1].Tag, batch.Deliveries.Count);
                else
                    await acknowledgements.SettleAsync(batch.Deliveries, refused);
                Interlocked.Add(ref _waiting, -batch.Deliveries.Count);
                Interlocked.Exchange(ref _lastProgress, Clock.GetTimestamp());
            }
        }
        catch
        {
            // A session that cannot answer must not post either.
            await closed.CancelAsync();
            throw;
        }
    }

    /// <summary>How often RabbitMQ has delivered a message, this time included.</summary>
    // Quorum queues count returns. A first delivery has no count, or that of a dead letter that an operator read and moved back.
    // From RabbitMQ 4.0 on, a message that returns with a lost connection counts as acquired, not as delivered.
    internal static long NumberOf(bool isRedelivered, IDictionary<string, object?>? headers) =>
        isRedelivered ? 1 + Math.Max(CountOf(headers, "x-delivery-count"), CountOf(headers, "x-acquired-count")) : 1;

    private static long CountOf(IDictionary<string, object?>? headers, string name)
    {
        object? count = null;
        headers?.TryGetValue(name, out count);
        return count switch { long returned => returned, int returned => returned, _ => 0 };
    }

    private static Delivery Read(BasicDeliverEventArgs message) => new(
        message.DeliveryTag,
        message.BasicProperties.ReplyTo,
        NumberOf(message.Redelivered, message.BasicProperties.Headers),
        message.BasicProperties.Headers?.ContainsKey(Topology.RelayedHeader) == true,
        EnvelopeReader.Read(message.Body));

    [LoggerMessage(LogLevel.Warning, "RabbitMQ has delivered a message {Number} times; its commands are posted one by one")]
    private partial void LogSuspect(long number);
}
