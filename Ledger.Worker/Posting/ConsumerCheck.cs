using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Ledger.Worker.Posting;

/// <summary>Ready while the worker consumes messages and answers them.</summary>
internal sealed class ConsumerCheck(CommandConsumer consumer) : IHealthCheck
{
    private static readonly TimeSpan MaxStall = TimeSpan.FromSeconds(30);

    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(consumer.IsReady && consumer.Stalled < MaxStall
            ? HealthCheckResult.Healthy()
            : new HealthCheckResult(context.Registration.FailureStatus));
}
