using System.Globalization;
using Ledger.Cli.Latency;
using Spectre.Console;

namespace Ledger.Cli.Load;

/// <summary>The report at the end of a run.</summary>
internal static class LoadReport
{
    /// <summary>Prints the report and returns whether every check passed.</summary>
    public static bool Print(LoadRun run, LoadOptions options)
    {
        var tally = run.Tally;
        var table = new Table().AddColumns("Request", "Outcomes", "p50 ms", "p95 ms", "p99 ms", "max ms");
        foreach (var column in table.Columns.Skip(2))
            column.RightAligned();
        foreach (var kind in tally.Outcomes.GroupBy(row => row.Kind))
        {
            var outcomes = string.Join(", ", kind.Select(row => string.Create(CultureInfo.InvariantCulture, $"{row.Count} × {row.Outcome}")));
            table.AddRow([kind.Key.ToString(), Markup.Escape(outcomes), .. Percentiles(tally.LatenciesOf(kind.Key))]);
        }
        table.AddEmptyRow();
        table.AddRow(["All, from the planned start", string.Create(CultureInfo.InvariantCulture, $"{tally.Answered}"), .. Percentiles(tally.AllLatencies())]);
        Terminal.Output.Write(table);

        foreach (var discrepancy in tally.Listed)
            Console.WriteLine($"! {discrepancy}");
        if (tally.Discrepancies > tally.Listed.Count())
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"! … and {tally.Discrepancies - tally.Listed.Count()} more"));

        // During an outage requests queue up and starts are missed, which is no fault of the ledger.
        var good = tally.Discrepancies == 0 && run.UsersInDoubt == 0 && (tally.Missed == 0 || options.TolerateOutage);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{tally.Started} requests started at {options.Rate}/s, {tally.Answered} answered, {tally.Missed} starts missed by more than {options.MaxLateness.TotalMilliseconds:0} ms, {tally.Retried} retries, {tally.Discrepancies} discrepancies."));
        Console.WriteLine(run.UsersInDoubt == 0
            ? $"Compared the balances and transactions of {options.Users} users."
            : $"Compared the balances and transactions of {options.Users - run.UsersInDoubt} of {options.Users} users: answers for the others are missing.");
        if (options.Operator is not null && run.UsersInDoubt == 0)
            Console.WriteLine("Compared the house accounts, the positions of the exchange, and the journals and reversals.");
        Console.WriteLine(good ? "Every check passed." : "CHECKS FAILED.");
        return good;
    }

    private static string[] Percentiles(LatencyHistogram latencies) =>
    [
        .. new[] { latencies.Percentile(0.5), latencies.Percentile(0.95), latencies.Percentile(0.99), latencies.Max }
            .Select(latency => latency.TotalMilliseconds.ToString("0.0", CultureInfo.InvariantCulture)),
    ];
}
