using System.Diagnostics.Metrics;
using Ledger.Core;
using Ledger.Core.Transactions;

namespace Ledger.Api.Transactions;

/// <summary>Commands as clients see them: how many were accepted, and how long their answers took.</summary>
internal static class CommandMetrics
{
    private static readonly TransactionKind[] s_kinds = Enum.GetValues<TransactionKind>();
    private static readonly long[] s_accepted = new long[s_kinds.Length];

    private static readonly Histogram<double> Duration = LedgerTelemetry.Meter.CreateHistogram<double>(
        "ledger.command.duration", "s", "From a command's acceptance to its answer, by kind and outcome.");

    /// <summary>Observed, so that the series of each kind exists at zero: Prometheus sees no increase in one that begins at 1.</summary>
    public static void Register() => LedgerTelemetry.Meter.CreateObservableCounter(
        "ledger.commands.accepted", ObserveAccepted, "{command}", "Well-formed commands that the API took, by kind.");

    public static void CountAccepted(TransactionKind kind) => Interlocked.Increment(ref s_accepted[Array.IndexOf(s_kinds, kind)]);

    /// <param name="status">Null if the request ends in an exception.</param>
    public static void RecordAnswer(TransactionKind kind, int? status, TimeSpan duration)
    {
        var outcome = status switch
        {
            StatusCodes.Status201Created => "posted",
            StatusCodes.Status202Accepted => "pending",
            StatusCodes.Status422UnprocessableEntity or StatusCodes.Status409Conflict => "rejected",
            _ => "failed",
        };
        Duration.Record(duration.TotalSeconds, new("kind", kind.Name()), new("outcome", outcome));
    }

    private static IEnumerable<Measurement<long>> ObserveAccepted()
    {
        for (var i = 0; i < s_kinds.Length; i++)
            yield return new Measurement<long>(Interlocked.Read(ref s_accepted[i]), new KeyValuePair<string, object?>("kind", s_kinds[i].Name()));
    }
}
