using System.Collections.Concurrent;
using Ledger.Cli.Latency;

namespace Ledger.Cli.Load;

/// <summary>The counts of a run. Thread-safe.</summary>
internal sealed class Tally
{
    private const int MaxListed = 20;

    private readonly ConcurrentDictionary<(RequestKind Kind, string Outcome), Counter> _outcomes = new();
    private readonly LatencyHistogram[] _latencies = [.. Enum.GetValues<RequestKind>().Select(_ => new LatencyHistogram())];
    private readonly ConcurrentQueue<string> _listed = new();
    private long _started;
    private long _answered;
    private long _missed;
    private long _retried;
    private long _discrepancies;

    public long Started => Volatile.Read(ref _started);

    public long Answered => Volatile.Read(ref _answered);

    /// <summary>Requests that the client started too late or not at all.</summary>
    public long Missed => Volatile.Read(ref _missed);

    /// <summary>Attempts after the first one of a request.</summary>
    public long Retried => Volatile.Read(ref _retried);

    /// <summary>Unexpected answers, and differences between the books and the API.</summary>
    public long Discrepancies => Volatile.Read(ref _discrepancies);

    /// <summary>Descriptions of the first discrepancies.</summary>
    public IEnumerable<string> Listed => _listed;

    /// <summary>The number of answers by request kind and outcome.</summary>
    public IEnumerable<(RequestKind Kind, string Outcome, long Count)> Outcomes =>
        _outcomes.Select(pair => (pair.Key.Kind, pair.Key.Outcome, pair.Value.Value)).OrderBy(row => (row.Kind, row.Outcome));

    public void AddStarted() => Interlocked.Increment(ref _started);

    public void AddMissed(long requests = 1) => Interlocked.Add(ref _missed, requests);

    public void AddRetried() => Interlocked.Increment(ref _retried);

    public void AddEnded(RequestKind kind, Answer answer, TimeSpan latency)
    {
        if (answer.Status != 0)
            Interlocked.Increment(ref _answered);
        Interlocked.Increment(ref _outcomes.GetOrAdd((kind, answer.Outcome), _ => new Counter()).Value);
        _latencies[(int)kind].Record(latency);
        LoadMetrics.RecordDuration(kind, latency);
    }

    public void AddDiscrepancy(string description)
    {
        if (Interlocked.Increment(ref _discrepancies) <= MaxListed)
            _listed.Enqueue(description);
    }

    public LatencyHistogram LatenciesOf(RequestKind kind) => _latencies[(int)kind];

    public LatencyHistogram AllLatencies()
    {
        var all = new LatencyHistogram();
        foreach (var latencies in _latencies)
            all.Add(latencies);
        return all;
    }

    private sealed class Counter
    {
        public long Value;
    }
}
