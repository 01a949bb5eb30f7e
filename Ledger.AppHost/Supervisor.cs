using System.Collections.Concurrent;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace Ledger.AppHost;

/// <summary>
/// Starts a process again that ends by itself after it was ready, at growing intervals; the orchestrator starts nothing again.
/// A process that ends before it was ready ends the run.
/// </summary>
internal sealed class Supervisor(
    ResourceNotificationService notifications, ResourceCommandService commands, ResourceLoggerService logs, IHostApplicationLifetime lifetime)
{
    private const int TailLines = 20;
    private static readonly TimeSpan s_firstPause = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan s_longestPause = TimeSpan.FromSeconds(5);

    // After so long a life the end of a process no longer belongs to a series of crashes.
    private static readonly TimeSpan s_longEnough = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<string, Life> _lives = new();

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await foreach (var change in notifications.WatchAsync(cancellationToken))
        {
            var (resource, id, snapshot) = (change.Resource, change.ResourceId, change.Snapshot);
            if (resource is not (ProjectResource or ExecutableResource or ContainerResource) || snapshot.State?.Text is not { } state)
                continue;
            var life = _lives.GetOrAdd(id, _ => new Life());
            var hasEnded = KnownResourceStates.TerminalStates.Contains(state);
            if (state == KnownResourceStates.Running)
            {
                life.HasEnded = false;
                if (snapshot.HealthStatus == HealthStatus.Healthy && !life.IsReady)
                    (life.IsReady, life.ReadySince) = (true, TimeProvider.System.GetTimestamp());
            }
            // A stop on request, by the dashboard or by the end of the run, passes through this state.
            life.IsStopping = state == KnownResourceStates.Stopping || (life.IsStopping && hasEnded);
            if (!hasEnded || life.HasEnded)
                continue;
            life.HasEnded = true;
            if (life.IsStopping || lifetime.ApplicationStopping.IsCancellationRequested || (snapshot.ExitCode ?? -1) == 0)
                continue;
            if (life.IsReady)
                _ = StartAgainAsync(id, resource.Name, snapshot.ExitCode, life);
            else if (!resource.Annotations.OfType<ExplicitStartupAnnotation>().Any())
                await GiveUpAsync(id, resource.Name, snapshot.ExitCode);
        }
    }

    private async Task StartAgainAsync(string id, string name, int? exitCode, Life life)
    {
        life.Pause = TimeProvider.System.GetElapsedTime(life.ReadySince) > s_longEnough ? s_firstPause : TimeSpan.FromTicks(Math.Min(life.Pause.Ticks * 2, s_longestPause.Ticks));
        await Console.Error.WriteLineAsync($"ledger: {name} ended with exit code {exitCode}; it is started again in {life.Pause.TotalSeconds:0.0} s.");
        try
        {
            await Task.Delay(life.Pause, lifetime.ApplicationStopping);
            life.ReadySince = TimeProvider.System.GetTimestamp();
            await commands.ExecuteCommandAsync(id, KnownResourceCommands.StartCommand, lifetime.ApplicationStopping);
        }
        catch (OperationCanceledException)
        {
            // The run ends.
        }
    }

    private async Task GiveUpAsync(string id, string name, int? exitCode)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(5));
        var tail = new List<string>();
        try
        {
            await foreach (var lines in logs.GetAllAsync(id).WithCancellation(limit.Token))
                tail.AddRange(lines.Select(line => line.Content));
        }
        catch (OperationCanceledException)
        {
            // What has come by now must do.
        }
        foreach (var line in tail.TakeLast(TailLines))
            await Console.Error.WriteLineAsync($"    {line}");
        await Console.Error.WriteLineAsync($"ledger: {name} ended with exit code {exitCode} before it was ready.");
        Environment.ExitCode = 1;
        lifetime.StopApplication();
    }

    private sealed class Life
    {
        public bool IsReady;
        public bool IsStopping;
        public bool HasEnded;
        public long ReadySince;
        public TimeSpan Pause = s_firstPause / 2;
    }
}
