using System.Globalization;
using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using RabbitMQ.Client;

namespace Ledger.Tests.Harness;

/// <summary>A process that Aspire's orchestrator started.</summary>
internal class ResourceProcess : LedgerProcess
{
    private readonly DistributedApplication _app;
    private readonly IResource _resource;

    public ResourceProcess(DistributedApplication app, IResource resource) : base(resource.Name)
    {
        _app = app;
        _resource = resource;
        if (resource is ProjectResource)
        {
            Address = app.GetEndpoint(resource.Name, "http");
            Metrics = new Uri(app.GetEndpoint(resource.Name, "metrics"), "/metrics");
        }
        _ = CollectAsync();
    }

    public override int? Pid => OwnPid;

    /// <summary>The process that the orchestrator knows.</summary>
    protected int? OwnPid =>
        Snapshot is { } snapshot && !HasEnded(snapshot)
        && snapshot.Properties.FirstOrDefault(property => property.Name == "executable.pid")?.Value is { } value
        && Convert.ToInt32(value, CultureInfo.InvariantCulture) is var pid && IsRunning(pid)
            ? pid
            : null;

    private CustomResourceSnapshot? Snapshot => _app.ResourceNotifications.TryGetCurrentState(Name, out var state) ? state.Snapshot : null;

    public override async Task StartAsync()
    {
        // The orchestrator may not have noticed yet that the process has ended.
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (OwnPid is null)
        {
            if (Snapshot is { } snapshot && HasEnded(snapshot))
            {
                var result = await _app.Services.GetRequiredService<ResourceCommandService>().ExecuteCommandAsync(_resource, KnownResourceCommands.StartCommand, limit.Token);
                if (result.Success)
                    return;
            }
            await Task.Delay(50, limit.Token);
        }
    }

    protected override async Task<int> EndedAsync(CancellationToken cancellationToken)
    {
        var end = await _app.ResourceNotifications.WaitForResourceAsync(Name, change => HasEnded(change.Snapshot), cancellationToken);
        return end.Snapshot.ExitCode ?? -1;
    }

    private static bool HasEnded(CustomResourceSnapshot snapshot) => KnownResourceStates.TerminalStates.Contains(snapshot.State?.Text);

    private async Task CollectAsync()
    {
        try
        {
            await foreach (var lines in _app.Services.GetRequiredService<ResourceLoggerService>().WatchAsync(_resource))
            {
                foreach (var line in lines)
                    Record(line.Content);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            // The system has ended.
        }
    }
}

/// <summary>PostgreSQL behind the script that the orchestrator started.</summary>
internal sealed class PostgresProcess(DistributedApplication app, IResource resource, string cluster, string connectionString) : ResourceProcess(app, resource)
{
    public override int? Pid => Postmaster is { } pid && IsRunning(pid) ? pid : null;

    private int? Postmaster
    {
        get
        {
            try
            {
                return OwnPid is null ? null : int.Parse(File.ReadLines(Path.Combine(cluster, "postmaster.pid")).First(), CultureInfo.InvariantCulture);
            }
            catch (Exception e) when (e is IOException or InvalidOperationException or FormatException)
            {
                return null;
            }
        }
    }

    // A fast shutdown: sessions are ended, everything is written.
    protected override void AskToEnd() => Signal("INT", Pid);

    protected override void Kill()
    {
        var pid = Pid;
        Signal("KILL", [pid, .. Children.Of(pid)]);
    }

    protected override async Task<bool> AnswersAsync()
    {
        await using var connection = new NpgsqlConnection($"{connectionString};Pooling=false;Timeout=5");
        await connection.OpenAsync();
        return true;
    }
}

/// <summary>RabbitMQ behind the script that the orchestrator started.</summary>
internal sealed class RabbitMqProcess(DistributedApplication app, IResource resource, Uri broker) : ResourceProcess(app, resource)
{
    public override int? Pid => Children.Of(OwnPid).Select(child => (int?)child).FirstOrDefault(child => Children.NameOf(child!.Value).StartsWith("beam", StringComparison.Ordinal));

    protected override void AskToEnd() => Signal("TERM", OwnPid);

    protected override void Kill()
    {
        var pid = Pid;
        Signal("KILL", [pid, .. Children.Of(pid)]);
    }

    protected override async Task<bool> AnswersAsync()
    {
        await using var connection = await new ConnectionFactory { Uri = broker, AutomaticRecoveryEnabled = false }.CreateConnectionAsync("ledger-tests");
        return true;
    }
}

/// <summary>The processes below a process, by the kernel's table.</summary>
internal static class Children
{
    public static IEnumerable<int> Of(int? pid)
    {
        try
        {
            return pid is null ? [] : [.. File.ReadAllText($"/proc/{pid}/task/{pid}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(child => int.Parse(child, CultureInfo.InvariantCulture))];
        }
        catch (IOException)
        {
            return [];
        }
    }

    public static string NameOf(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/comm").Trim();
        }
        catch (IOException)
        {
            return "";
        }
    }
}
