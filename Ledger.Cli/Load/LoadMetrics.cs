using System.Diagnostics.Metrics;
using System.Text.Json;

namespace Ledger.Cli.Load;

/// <summary>What a run tells Prometheus while it goes: the client's side of what the services tell of theirs.</summary>
internal static class LoadMetrics
{
    public const string Name = "Ledger.Load";

    private static readonly Meter s_meter = new(Name);

    private static readonly Histogram<double> s_duration = s_meter.CreateHistogram<double>(
        "ledger.load.request.duration", "s", "From a request's planned start to its answer, by operation.");

    private static readonly string[] s_operations = [.. Enum.GetValues<RequestKind>().Select(kind => JsonNamingPolicy.SnakeCaseLower.ConvertName(kind.ToString()))];

    public static void RecordDuration(RequestKind kind, TimeSpan latency) =>
        s_duration.Record(latency.TotalSeconds, new KeyValuePair<string, object?>("operation", s_operations[(int)kind]));

    /// <summary>Makes a run's tally known to whoever measures.</summary>
    public static void Observe(LoadRun run)
    {
        var tally = run.Tally;
        s_meter.CreateObservableCounter("ledger.load.requests", () => Requests(tally), "{request}", "Requests that came to an end, by operation and outcome.");
        s_meter.CreateObservableCounter("ledger.load.starts.planned", () => run.Planned, "{request}", "Requests that were due.");
        s_meter.CreateObservableCounter("ledger.load.starts", () => tally.Started, "{request}", "Requests that were started.");
        s_meter.CreateObservableCounter("ledger.load.starts.missed", () => tally.Missed, "{request}", "Requests that this client started too late, or not at all.");
        s_meter.CreateObservableCounter("ledger.load.retries", () => tally.Retried, "{attempt}", "Attempts after the first.");
        s_meter.CreateObservableCounter("ledger.load.discrepancies", () => tally.Discrepancies, "{discrepancy}", "Answers and balances that are not as they must be.");
        s_meter.CreateObservableGauge("ledger.load.in_flight", () => run.InFlight, "{request}", "Requests that are under way.");
    }

    private static IEnumerable<Measurement<long>> Requests(Tally tally) =>
        tally.Outcomes.Select(row => new Measurement<long>(row.Count, new("operation", s_operations[(int)row.Kind]), new("outcome", row.Outcome)));
}
