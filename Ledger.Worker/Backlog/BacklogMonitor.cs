using System.Diagnostics.Metrics;
using Ledger.Core;
using Ledger.Core.Messaging;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Npgsql;

namespace Ledger.Worker.Backlog;

/// <summary>Measures the backlog: messages in the command queue, and pending commands.</summary>
public sealed partial class BacklogMonitor : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan FillInterval = TimeSpan.FromSeconds(10);

    // Longer than two calls to RabbitMQ may take: a channel that is abandoned before it is open stays open in RabbitMQ.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(25);

    private readonly BrokerConnection _broker;
    private readonly NpgsqlDataSource _database;
    private readonly ILogger<BacklogMonitor> _logger;
    private QueueDepth? _queue;
    private PendingBacklog? _pending;
    private IReadOnlyList<ShardFill>? _fills;

    public BacklogMonitor(BrokerConnection broker, NpgsqlDataSource database, ILogger<BacklogMonitor> logger)
    {
        _broker = broker;
        _database = database;
        _logger = logger;
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.queue.depth", () => Observe(_queue, queue => queue.Messages), "{message}", "Messages that are ready in the command queue.");
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.pending.commands", () => Observe(_pending, pending => pending.Count), "{command}", "Commands that are recorded and not decided.");
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.pending.oldest_age", () => Observe(_pending, pending => pending.OldestAge.TotalSeconds), "s", "How long the oldest of them has been waiting, of those that have not failed.");
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.settlement.fill", () => (_fills ?? []).Select(fill => new Measurement<double>(fill.Ratio, new KeyValuePair<string, object?>("currency", fill.Currency))),
            null, "How much of its range the fullest settlement or exchange shard of a currency has used.");
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.pending.failed", () => Observe(_pending, pending => pending.Failed), "{command}", "Those of them that could not be posted and wait for an operator.");
    }

    // A figure that cannot be measured is not reported: the last one would hide a growing backlog.
    private static IEnumerable<Measurement<TValue>> Observe<T, TValue>(T? last, Func<T, TValue> value) where T : class where TValue : struct =>
        last is null ? [] : [new(value(last))];

    // Independently of each other: the queue grows while PostgreSQL is unavailable.
    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.WhenAll(
        RepeatAsync(Interval, async token => _queue = await QueueAsync(token), () => _queue = null, stoppingToken),
        RepeatAsync(Interval, async token => _pending = await PendingCommands.BacklogAsync(_database, token), () => _pending = null, stoppingToken),
        RepeatAsync(FillInterval, async token => _fills = await ShardFill.OfAllAsync(_database, token), () => _fills = null, stoppingToken));

    private async Task RepeatAsync(TimeSpan interval, Func<CancellationToken, Task> measure, Action forget, CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(interval);
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await timer.WaitForNextTickAsync(stoppingToken);
                using var patience = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
                patience.CancelAfter(Patience);
                await measure(patience.Token);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
            }
            catch (Exception e)
            {
                forget();
                LogFailed(e.Message);
            }
        }
    }

    private async Task<QueueDepth?> QueueAsync(CancellationToken cancellationToken)
    {
        // The consumer opens the connection. A blocked RabbitMQ does not answer.
        if (_broker.Ready is not { } connection)
            return null;
        await using var channel = await BrokerConnection.InTimeAsync(
            connection, connection.CreateChannelAsync(cancellationToken: cancellationToken), cancellationToken);
        return new QueueDepth(await BrokerConnection.InTimeAsync(
            connection, channel.MessageCountAsync(Topology.CommandQueue, cancellationToken), cancellationToken));
    }

    private sealed record QueueDepth(long Messages);

    [LoggerMessage(LogLevel.Debug, "The backlog cannot be measured: {Reason}")]
    private partial void LogFailed(string reason);
}
