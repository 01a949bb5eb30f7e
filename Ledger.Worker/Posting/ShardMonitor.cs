using System.Diagnostics.Metrics;
using Ledger.Core;
using Ledger.Core.Posting;
using Ledger.ServiceDefaults;
using Npgsql;

namespace Ledger.Worker.Posting;

/// <summary>Measures how full the settlement and exchange shards are.</summary>
internal sealed class ShardMonitor : PeriodicService
{
    private readonly NpgsqlDataSource _database;
    private IReadOnlyList<ShardFill> _last = [];

    public ShardMonitor(NpgsqlDataSource database, TimeProvider clock, ILogger<ShardMonitor> logger)
        : base("Measuring the settlement shards", TimeSpan.FromSeconds(10), clock, logger)
    {
        _database = database;
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.settlement.fill", () => _last.Select(fill => new Measurement<double>(fill.Ratio, new KeyValuePair<string, object?>("currency", fill.Currency))),
            null, "How much of its range the fullest settlement or exchange shard of a currency has used.");
    }

    protected override async Task RunAsync(CancellationToken stoppingToken) => _last = await ShardFill.OfAllAsync(_database, stoppingToken);

    protected override void OnFailed() => _last = [];
}
