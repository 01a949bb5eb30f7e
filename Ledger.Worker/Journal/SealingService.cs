using System.Diagnostics.Metrics;
using Ledger.Core;
using Ledger.Core.Journal;
using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Worker.Journal;

/// <summary>
/// Seals decided transactions while this worker has the advisory lock, and tries to take the lock otherwise. The lock ends with the
/// connection of a process that dies; another worker takes it within about a second.
/// </summary>
internal sealed partial class SealingService : BackgroundService
{
    private static readonly TimeSpan LockInterval = TimeSpan.FromSeconds(1);

    private readonly NpgsqlDataSource _database;
    private readonly JournalOptions _options;
    private readonly ILogger<SealingService> _logger;
    private readonly OnceAMinute _failures = new(TimeProvider.System);
    private readonly Counter<long> _sealed;
    private Lag? _lag;

    public SealingService(NpgsqlDataSource database, IOptions<JournalOptions> options, ILogger<SealingService> logger)
    {
        _database = database;
        _options = options.Value;
        _logger = logger;
        _sealed = LedgerTelemetry.Meter.CreateCounter<long>(
            "ledger.journal.sealed", "{transaction}", "Transactions that this worker has sealed into the journal.");
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.journal.lag", () => _lag is { } lag ? [new Measurement<double>(lag.Waiting.TotalSeconds)] : Array.Empty<Measurement<double>>(),
            "s", "Age of the oldest decided transaction that is not sealed, reported by the worker that seals.");
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await SealWhileLockedAsync(stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
            }
            catch (Exception e)
            {
                if (_failures.IsDue(Connections.ReasonOf(e)))
                    LogFailed(Connections.ReasonOf(e));
            }
            _lag = null;
            await Task.Delay(LockInterval, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task SealWhileLockedAsync(CancellationToken cancellationToken)
    {
        await using var connection = await _database.OpenConnectionAsync(cancellationToken);
        await using var held = await AdvisoryLock.TryTakeAsync(connection, Sealer.Lock, cancellationToken);
        if (held is null)
            return;
        LogLocked();

        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(_options.SealMilliseconds));
        var afterRestart = true;
        do
        {
            var last = await Sealer.SealAsync(connection, _options.BlockLength, afterRestart, cancellationToken);
            if (last.LastSequence is null)
                return;
            _lag = new Lag(last.Waiting);
            _sealed.Add(last.Count);
            // After a full block there is more, possibly of a restored dump.
            if (last.Count == _options.BlockLength)
                continue;
            afterRestart = false;
            await timer.WaitForNextTickAsync(cancellationToken);
        }
        while (!cancellationToken.IsCancellationRequested);
    }

    private sealed record Lag(TimeSpan Waiting);

    [LoggerMessage(LogLevel.Information, "This worker seals the journal")]
    private partial void LogLocked();

    [LoggerMessage(LogLevel.Warning, "The journal cannot be sealed: {Reason}")]
    private partial void LogFailed(string reason);
}
