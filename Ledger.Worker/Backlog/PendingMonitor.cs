using System.Diagnostics.Metrics;
using Ledger.Core;
using Ledger.Core.Transactions;
using Ledger.ServiceDefaults;
using Npgsql;

namespace Ledger.Worker.Backlog;

/// <summary>Measures the pending commands.</summary>
internal sealed class PendingMonitor : PeriodicService
{
    private readonly NpgsqlDataSource _database;
    private PendingBacklog? _last;

    public PendingMonitor(NpgsqlDataSource database, TimeProvider clock, ILogger<PendingMonitor> logger)
        : base("Measuring the pending commands", TimeSpan.FromSeconds(2), clock, logger)
    {
        _database = database;
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.pending.commands", () => Observe(last => last.Count), "{command}", "Commands that are recorded and not decided.");
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.pending.oldest_age", () => Observe(last => last.OldestAge.TotalSeconds), "s", "How long the oldest of them has been waiting, of those that have not failed.");
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.pending.failed", () => Observe(last => last.Failed), "{command}", "Those of them that could not be posted and wait for an operator.");
    }

    protected override async Task RunAsync(CancellationToken stoppingToken) => _last = await PendingCommands.BacklogAsync(_database, stoppingToken);

    // A figure that cannot be measured is not reported: the last one would hide a growing backlog.
    protected override void OnFailed() => _last = null;

    private IEnumerable<Measurement<T>> Observe<T>(Func<PendingBacklog, T> value) where T : struct => _last is { } last ? [new(value(last))] : [];
}
