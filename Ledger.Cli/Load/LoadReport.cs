using System.Globalization;
using Ledger.Cli.Latency;
using Spectre.Console;

namespace Ledger.Cli.Load;

/// <summary>What a run found.</summary>
internal static class LoadReport
{
    /// <summary>Prints it; false if anything is not as it must be.</summary>
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

        // While something is away, requests pile up and starts are missed: that is the outage, not the books.
        var good = tally.Discrepancies == 0 && run.UsersInDoubt == 0 && (tally.Missed == 0 || options.TolerateOutage);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{tally.Started} requests started at {options.Rate}/s, {tally.Answered} answered, {tally.Missed} starts missed by more than {options.MaxLateness.TotalMilliseconds:0} ms, {tally.Retried} retries, {tally.Discrepancies} discrepancies."));
        Console.WriteLine(run.UsersInDoubt == 0
            ? $"Books of {options.Users} users compared, balances and transactions."
            : $"Books of {options.Users - run.UsersInDoubt} of {options.Users} users compared: the others' are in doubt, because an answer is missing.");
        Console.WriteLine(good ? "All as it must be." : "NOT as it must be.");
        return good;
    }

    private static string[] Percentiles(LatencyHistogram latencies) =>
    [
        .. new[] { latencies.Percentile(0.5), latencies.Percentile(0.95), latencies.Percentile(0.99), latencies.Max }
            .Select(latency => latency.TotalMilliseconds.ToString("0.0", CultureInfo.InvariantCulture)),
    ];
}
