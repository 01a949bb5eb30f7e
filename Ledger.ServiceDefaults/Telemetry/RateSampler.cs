using System.Diagnostics;
using OpenTelemetry.Trace;

namespace Ledger.ServiceDefaults;

/// <summary>
/// Records at most <paramref name="tracesPerSecond"/> new traces a second, so that the cost of tracing does not grow with the load.
/// </summary>
/// <remarks>A leaky bucket with one number as its state: the time at which the traces recorded so far are due.</remarks>
internal sealed class RateSampler(int tracesPerSecond, TimeProvider clock) : Sampler
{
    private readonly long _interval = tracesPerSecond == 0 ? 0 : clock.TimestampFrequency / tracesPerSecond;
    private long _due;

    public override SamplingResult ShouldSample(in SamplingParameters samplingParameters)
    {
        // A client span without a parent is housekeeping: a poll, or a connection that is opened ahead.
        if (tracesPerSecond == 0 || samplingParameters.Kind == ActivityKind.Client)
            return new SamplingResult(SamplingDecision.Drop);

        var now = clock.GetTimestamp();
        var due = Volatile.Read(ref _due);
        // The traces of one second may start in a burst.
        var next = Math.Max(due, now - clock.TimestampFrequency) + _interval;
        return next <= now && Interlocked.CompareExchange(ref _due, next, due) == due
            ? new SamplingResult(SamplingDecision.RecordAndSample)
            : new SamplingResult(SamplingDecision.Drop);
    }
}
