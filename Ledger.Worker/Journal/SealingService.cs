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
internal sealed partial class SealingService : PeriodicService
{
    private static readonly TimeSpan LockInterval = TimeSpan.FromSeconds(1);

    private readonly NpgsqlDataSource _database;
    private readonly JournalOptions _options;
    private readonly ILogger<SealingService> _logger;
    private readonly Counter<long> _sealed;
    private Lag? _lag;

    public SealingService(NpgsqlDataSource database, TimeProvider clock, IOptions<JournalOptions> options, ILogger<SealingService> logger)
        : base("Sealing the journal", LockInterval, clock, logger)
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

    /// <summary>Seals until the connection is lost or the service stops, if this worker gets the lock.</summary>
    protected override async Task RunAsync(CancellationToken stoppingToken)
    {
        await using var connection = await _database.OpenConnectionAsync(stoppingToken);
        await using var held = await AdvisoryLock.TryTakeAsync(connection, Sealer.Lock, stoppingToken);
        if (held is null)
            return;
        LogLocked();

        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(_options.SealMilliseconds), Clock);
        var afterRestart = true;
        while (true)
        {
            var last = await Sealer.SealAsync(connection, _options.BlockLength, afterRestart, stoppingToken);
            _lag = last.LastSequence is null ? null : new Lag(last.Waiting);
            if (_lag is null)
                return;
            _sealed.Add(last.Count);
            // After a full block there is more, possibly of a restored dump.
            if (last.Count == _options.BlockLength)
                continue;
            afterRestart = false;
            await timer.WaitForNextTickAsync(stoppingToken);
        }
    }

    protected override void OnFailed() => _lag = null;

    private sealed record Lag(TimeSpan Waiting);

    [LoggerMessage(LogLevel.Information, "This worker seals the journal")]
    private partial void LogLocked();
}
