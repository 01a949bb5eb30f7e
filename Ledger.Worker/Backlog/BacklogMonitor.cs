using Ledger.Core;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using Npgsql;

namespace Ledger.Worker.Backlog;

/// <summary>Measures what waits: messages in the command queue, and commands whose clients were answered 202.</summary>
public sealed partial class BacklogMonitor : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    private readonly BrokerConnection _broker;
    private readonly NpgsqlDataSource _database;
    private readonly ILogger<BacklogMonitor> _logger;
    private long _queueDepth;
    private PendingBacklog _pending;

    public BacklogMonitor(BrokerConnection broker, NpgsqlDataSource database, ILogger<BacklogMonitor> logger)
    {
        _broker = broker;
        _database = database;
        _logger = logger;
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.queue.depth", () => Interlocked.Read(ref _queueDepth), "{message}", "Messages that are ready in the command queue.");
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.pending.commands", () => _pending.Count, "{command}", "Commands that are recorded and not decided.");
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.pending.oldest_age", () => _pending.OldestAge.TotalSeconds, "s", "How long the oldest of them has been waiting.");
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval);
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await timer.WaitForNextTickAsync(stoppingToken);
                _pending = await PendingCommands.BacklogAsync(_database, stoppingToken);
                if (_broker.IsOpen)
                {
                    var connection = await _broker.OpenAsync(stoppingToken);
                    await using var channel = await connection.CreateChannelAsync(cancellationToken: stoppingToken);
                    Interlocked.Exchange(ref _queueDepth, await channel.MessageCountAsync(Topology.CommandQueue, stoppingToken));
                }
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
            }
            catch (Exception e)
            {
                LogFailed(e.Message);
            }
        }
    }

    [LoggerMessage(LogLevel.Debug, "The backlog cannot be measured: {Reason}")]
    private partial void LogFailed(string reason);
}
