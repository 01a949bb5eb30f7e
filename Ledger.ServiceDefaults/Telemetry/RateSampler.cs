using System.Diagnostics;
using OpenTelemetry.Trace;

namespace Ledger.ServiceDefaults.Telemetry;

/// <summary>
/// Records so many new traces a second and no more: all of them while a person tries something out, few of many under load,
/// so that tracing costs what it costs whatever the traffic.
/// </summary>
/// <remarks>A leaky bucket in one number: the time at which all that were recorded so far would be due.</remarks>
internal sealed class RateSampler(int tracesPerSecond, TimeProvider clock) : Sampler
{
    private readonly long _interval = tracesPerSecond == 0 ? 0 : clock.TimestampFrequency / tracesPerSecond;
    private long _due;

    public override SamplingResult ShouldSample(in SamplingParameters samplingParameters)
    {
        // A call that no request or command caused is housekeeping: a poll, a connection that is opened ahead.
        if (tracesPerSecond == 0 || samplingParameters.Kind == ActivityKind.Client)
            return new SamplingResult(SamplingDecision.Drop);

        var now = clock.GetTimestamp();
        var due = Volatile.Read(ref _due);
        // A second's worth may come at once.
        var next = Math.Max(due, now - clock.TimestampFrequency) + _interval;
        return next <= now && Interlocked.CompareExchange(ref _due, next, due) == due
            ? new SamplingResult(SamplingDecision.RecordAndSample)
            : new SamplingResult(SamplingDecision.Drop);
    }
}
