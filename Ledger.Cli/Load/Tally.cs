using System.Collections.Concurrent;
using Ledger.Cli.Latency;

namespace Ledger.Cli.Load;

/// <summary>What has happened so far. Any number of threads may add to it.</summary>
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

    /// <summary>Requests that this client started too late, or not at all.</summary>
    public long Missed => Volatile.Read(ref _missed);

    /// <summary>Attempts after the first.</summary>
    public long Retried => Volatile.Read(ref _retried);

    /// <summary>Answers that should have been others, and books that do not agree.</summary>
    public long Discrepancies => Volatile.Read(ref _discrepancies);

    /// <summary>The first of the discrepancies, in words.</summary>
    public IEnumerable<string> Listed => _listed;

    /// <summary>How often which kind of request was answered how.</summary>
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
