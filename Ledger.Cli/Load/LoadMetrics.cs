using System.Diagnostics.Metrics;
using System.Text.Json;

namespace Ledger.Cli.Load;

/// <summary>The metrics of a run for Prometheus: the client's view, which complements the metrics of the services.</summary>
internal static class LoadMetrics
{
    public const string Name = "Ledger.Load";

    private static readonly Meter s_meter = new(Name);

    private static readonly Histogram<double> s_duration = s_meter.CreateHistogram<double>(
        "ledger.load.request.duration", "s", "From a request's planned start to its answer, by operation.");

    private static readonly string[] s_operations = [.. Enum.GetValues<RequestKind>().Select(kind => JsonNamingPolicy.SnakeCaseLower.ConvertName(kind.ToString()))];

    public static void RecordDuration(RequestKind kind, TimeSpan latency) =>
        s_duration.Record(latency.TotalSeconds, new KeyValuePair<string, object?>("operation", s_operations[(int)kind]));

    /// <summary>Registers instruments that observe the tally of <paramref name="run"/>.</summary>
    public static void Observe(LoadRun run)
    {
        var tally = run.Tally;
        s_meter.CreateObservableCounter("ledger.load.requests", () => Requests(tally), "{request}", "Requests that ended, by operation and outcome.");
        s_meter.CreateObservableCounter("ledger.load.starts.planned", () => run.Planned, "{request}", "Requests that were due.");
        s_meter.CreateObservableCounter("ledger.load.starts", () => tally.Started, "{request}", "Requests that were started.");
        s_meter.CreateObservableCounter("ledger.load.starts.missed", () => tally.Missed, "{request}", "Requests that the client started too late or not at all.");
        s_meter.CreateObservableCounter("ledger.load.retries", () => tally.Retried, "{attempt}", "Attempts after the first.");
        s_meter.CreateObservableCounter("ledger.load.discrepancies", () => tally.Discrepancies, "{discrepancy}", "Unexpected answers and balances.");
        s_meter.CreateObservableGauge("ledger.load.in_flight", () => run.InFlight, "{request}", "Requests in flight.");
    }

    private static IEnumerable<Measurement<long>> Requests(Tally tally) =>
        tally.Outcomes.Select(row => new Measurement<long>(row.Count, new("operation", s_operations[(int)row.Kind]), new("outcome", row.Outcome)));
}
