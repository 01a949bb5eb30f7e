using System.Numerics;

namespace Ledger.Cli.Latency;

/// <summary>
/// Latencies in buckets whose width grows with the value, so that a percentile is at most 1.6 % above the exact one.
/// <see cref="Record"/> is thread-safe.
/// </summary>
internal sealed class LatencyHistogram
{
    // 64 buckets per power of two of microseconds, up to 2^40 µs.
    private const int Precision = 6;
    private const int Largest = 40;

    private readonly long[] _counts = new long[(Largest - Precision + 2) << Precision];
    private long _max;

    public TimeSpan Max => TimeSpan.FromMicroseconds(Volatile.Read(ref _max));

    public long Count
    {
        get
        {
            var sum = 0L;
            foreach (var count in _counts)
                sum += count;
            return sum;
        }
    }

    public void Record(TimeSpan latency)
    {
        var microseconds = Math.Clamp((long)latency.TotalMicroseconds, 0, (1L << Largest) - 1);
        Interlocked.Increment(ref _counts[IndexOf(microseconds)]);
        var max = Volatile.Read(ref _max);
        while (microseconds > max)
        {
            var seen = Interlocked.CompareExchange(ref _max, microseconds, max);
            if (seen == max)
                break;
            max = seen;
        }
    }

    public void Add(LatencyHistogram other)
    {
        for (var i = 0; i < _counts.Length; i++)
            _counts[i] += other._counts[i];
        _max = Math.Max(_max, other._max);
    }

    /// <summary>The latency that <paramref name="fraction"/> (0 to 1) of the values do not exceed; zero without values.</summary>
    public TimeSpan Percentile(double fraction)
    {
        var rank = (long)Math.Ceiling(fraction * Count);
        for (var i = 0; i < _counts.Length && rank > 0; i++)
        {
            rank -= _counts[i];
            if (rank <= 0)
                return TimeSpan.FromMicroseconds(Math.Min(UpperBoundOf(i), _max));
        }
        return TimeSpan.Zero;
    }

    private static int IndexOf(long value)
    {
        var shift = Math.Max(0, BitOperations.Log2((ulong)value) - Precision);
        return (shift << Precision) + (int)(value >> shift);
    }

    private static long UpperBoundOf(int index)
    {
        var shift = Math.Max(0, (index >> Precision) - 1);
        return ((index - ((long)shift << Precision) + 1) << shift) - 1;
    }
}
