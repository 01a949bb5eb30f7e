using Ledger.Cli.Latency;

namespace Ledger.Cli.Bench;

/// <summary>The result of a measurement, or of one connection's part of it.</summary>
internal sealed class BenchResult(TimeSpan duration)
{
    private const int MaxListed = 5;

    private readonly List<string> _firstErrors = [];

    /// <summary>The latencies of the transfers that were answered 201 within the measured time.</summary>
    public LatencyHistogram Latencies { get; } = new();

    /// <summary>Answers other than 201 and broken connections, including those of the warm-up.</summary>
    public long Errors { get; private set; }

    /// <summary>Descriptions of the first errors.</summary>
    public IReadOnlyList<string> FirstErrors => _firstErrors;

    public double TransfersPerSecond => Latencies.Count / duration.TotalSeconds;

    public void AddError(string description)
    {
        Errors++;
        if (_firstErrors.Count < MaxListed)
            _firstErrors.Add(description);
    }

    public void Add(BenchResult other)
    {
        Latencies.Add(other.Latencies);
        Errors += other.Errors;
        _firstErrors.AddRange(other._firstErrors.Take(MaxListed - _firstErrors.Count));
    }
}
