using System.Diagnostics.Metrics;
using Ledger.Core;
using Ledger.Core.Transactions;

namespace Ledger.Api.Transactions;

/// <summary>Commands from the client's side: how many came, and how long their answers took.</summary>
internal static class CommandMetrics
{
    private static readonly Counter<long> Accepted = LedgerTelemetry.Meter.CreateCounter<long>(
        "ledger.commands.accepted", "{command}", "Well-formed commands that the API took, by kind.");

    private static readonly Histogram<double> Duration = LedgerTelemetry.Meter.CreateHistogram<double>(
        "ledger.command.duration", "s", "From a command's acceptance to its answer, by kind and outcome.");

    public static void StartAtZero()
    {
        foreach (var kind in Enum.GetValues<TransactionKind>())
            Accepted.Add(0, new KeyValuePair<string, object?>("kind", kind.Name()));
    }

    public static void CountAccepted(TransactionKind kind) => Accepted.Add(1, new KeyValuePair<string, object?>("kind", kind.Name()));

    /// <param name="status">Null if an exception decides it.</param>
    public static void RecordAnswer(TransactionKind kind, int? status, TimeSpan duration)
    {
        var outcome = status switch
        {
            StatusCodes.Status201Created => "posted",
            StatusCodes.Status202Accepted => "pending",
            StatusCodes.Status422UnprocessableEntity => "rejected",
            _ => "failed",
        };
        Duration.Record(duration.TotalSeconds, new("kind", kind.Name()), new("outcome", outcome));
    }
}
