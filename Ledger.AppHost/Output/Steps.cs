using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Ledger.AppHost.Output;

/// <summary>Prints what becomes ready and when, the welcome once everything is, and after that the processes' logs.</summary>
internal sealed partial class Steps(
    ResourceNotificationService notifications,
    ResourceLoggerService logs,
    DistributedApplicationModel model,
    IReadOnlyCollection<string> awaited,
    Func<CancellationToken, Task<string>> welcome)
{
    // run.sh, which builds first, says when it began: seconds since the epoch.
    private static readonly DateTime s_start = double.TryParse(Environment.GetEnvironmentVariable("LEDGER_STARTED"), NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds)
        ? DateTime.UnixEpoch.AddSeconds(seconds)
        : Process.GetCurrentProcess().StartTime.ToUniversalTime();

    /// <summary>Prints a step after the time since the start.</summary>
    public static void Say(string step) =>
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"ledger: {(DateTime.UtcNow - s_start).TotalSeconds,5:0.0} s  {step}"));

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await BecomeReadyAsync(cancellationToken);
        LogPrinter.Print(await welcome(cancellationToken));
        var ready = DateTime.UtcNow;
        await Task.WhenAll(model.Resources.Where(resource => resource is ProjectResource or ExecutableResource or ContainerResource)
            .Where(resource => awaited.Contains(resource.Name) || resource.Name is ResourceNames.Load or ResourceNames.Prometheus)
            .Select(resource => PrintLogsAsync(resource, ready, cancellationToken)));
    }

    private async Task BecomeReadyAsync(CancellationToken cancellationToken)
    {
        var waiting = awaited.ToHashSet();
        await foreach (var change in notifications.WatchAsync(cancellationToken))
        {
            var (name, snapshot) = (change.Resource.Name, change.Snapshot);
            if (!waiting.Contains(name))
                continue;
            var hasRun = name == ResourceNames.Migrations && snapshot is { ExitCode: 0, State.Text: "Finished" or "Exited" };
            if (!hasRun && (name == ResourceNames.Migrations || snapshot.State?.Text != KnownResourceStates.Running || snapshot.HealthStatus != HealthStatus.Healthy))
                continue;
            Say(hasRun ? "the database's schema is up to date" : $"{name} is ready");
            waiting.Remove(name);
            if (waiting.Count == 0)
                return;
        }
    }

    // What a process wrote while it started is in the dashboard, and on the console if the start failed.
    private async Task PrintLogsAsync(IResource resource, DateTime since, CancellationToken cancellationToken)
    {
        var isNews = false;
        await foreach (var lines in logs.WatchAsync(resource).WithCancellation(cancellationToken))
        {
            foreach (var line in lines.Select(line => line.Content))
            {
                // The orchestrator puts date and time before each line; a line without them belongs to the one before it.
                var stamp = Timestamp().Match(line);
                if (stamp.Success)
                    isNews = DateTime.Parse(stamp.ValueSpan, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal) >= since;
                if (isNews)
                    LogPrinter.Print(resource.Name, stamp.Success ? $"{stamp.Groups["time"].ValueSpan} {line.AsSpan(stamp.Length)}" : line);
            }
        }
    }

    [GeneratedRegex(@"^\d{4}-\d\d-\d\dT(?<time>\d\d:\d\d:\d\d\.\d{3})\d*Z ")]
    private static partial Regex Timestamp();
}
