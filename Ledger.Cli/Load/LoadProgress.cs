using System.Globalization;
using Spectre.Console;

namespace Ledger.Cli.Load;

/// <summary>The progress display of a run.</summary>
internal static class LoadProgress
{
    /// <summary>Shows progress until <paramref name="sending"/> completes, and passes its exceptions on.</summary>
    public static async Task ShowAsync(LoadRun run, LoadOptions options, Task sending)
    {
        if (Terminal.IsInteractive)
        {
            await Terminal.Output.Live(Text.Empty).AutoClear(true).StartAsync(async live =>
            {
                while (!sending.IsCompleted)
                {
                    live.UpdateTarget(new Panel(Line(run, options)) { Header = new PanelHeader("ledger load"), Expand = false });
                    await Task.WhenAny(sending, Task.Delay(250));
                }
            });
        }
        else
        {
            // A log gets at most 60 lines, however long the run is.
            var interval = TimeSpan.FromSeconds(Math.Max(1, options.Duration.TotalSeconds / 60));
            while (await Task.WhenAny(sending, Task.Delay(interval)) != sending)
                Console.WriteLine(Line(run, options));
        }
        await sending;
    }

    private static string Line(LoadRun run, LoadOptions options)
    {
        var latencies = run.Tally.AllLatencies();
        return string.Create(CultureInfo.InvariantCulture,
            $"{run.Elapsed.TotalSeconds,5:0}/{options.Duration.TotalSeconds:0} s  started {run.Tally.Started}  answered {run.Tally.Answered}  in flight {run.InFlight}  missed {run.Tally.Missed}  retried {run.Tally.Retried}  discrepancies {run.Tally.Discrepancies}  p50 {latencies.Percentile(0.5).TotalMilliseconds:0.0} ms  p99 {latencies.Percentile(0.99).TotalMilliseconds:0.0} ms");
    }
}
