using System.Diagnostics.Metrics;
using Ledger.Core;
using Ledger.Core.Messaging;
using Ledger.ServiceDefaults;

namespace Ledger.Worker.Backlog;

/// <summary>Measures the command queue. The queue grows while PostgreSQL is unavailable, so this measurement does not depend on it.</summary>
internal sealed class QueueMonitor : PeriodicService
{
    private readonly BrokerConnection _broker;
    private Depth? _last;

    public QueueMonitor(BrokerConnection broker, TimeProvider clock, ILogger<QueueMonitor> logger)
        : base("Measuring the command queue", TimeSpan.FromSeconds(2), clock, logger)
    {
        _broker = broker;
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.queue.depth", () => _last is { } last ? [new Measurement<long>(last.Messages)] : Array.Empty<Measurement<long>>(),
            "{message}", "Messages that are ready in the command queue.");
    }

    protected override async Task RunAsync(CancellationToken stoppingToken) => _last = await MeasureAsync(stoppingToken);

    // A figure that cannot be measured is not reported: the last one would hide a growing backlog.
    protected override void OnFailed() => _last = null;

    private async Task<Depth?> MeasureAsync(CancellationToken cancellationToken)
    {
        // The consumer opens the connection. A blocked RabbitMQ does not answer.
        if (_broker.Ready is not { } connection)
            return null;
        await using var channel = await BrokerConnection.InTimeAsync(
            connection, connection.CreateChannelAsync(cancellationToken: cancellationToken), cancellationToken);
        return new Depth(await BrokerConnection.InTimeAsync(
            connection, channel.MessageCountAsync(Topology.CommandQueue, cancellationToken), cancellationToken));
    }

    private sealed record Depth(long Messages);
}
