using System.Diagnostics;
using System.Reflection;
using Ledger.AppHost;

namespace Ledger.Tests.Harness;

/// <summary>
/// One more API or worker with options of its own. The AppHost's model is fixed once it is built, so the tests start these
/// themselves, from what the build made.
/// </summary>
internal sealed class ExtraProcess : LedgerProcess, IDisposable, IAsyncDisposable
{
    private static readonly string s_configuration = typeof(ExtraProcess).Assembly.GetCustomAttribute<AssemblyConfigurationAttribute>()!.Configuration;

    private readonly string _assembly;
    private readonly Dictionary<string, string> _environment;
    private Process? _process;

    /// <param name="name">For messages.</param>
    /// <param name="project">Such as <c>Ledger.Api</c>.</param>
    /// <param name="environment">Connection strings and options.</param>
    public ExtraProcess(string name, string project, IEnumerable<KeyValuePair<string, string>> environment) : base(name)
    {
        _assembly = Repository.PathOf($"{project}/bin/{s_configuration}/net10.0/{project}.dll");
        Address = new Uri($"http://localhost:{Ports.Free()}");
        Metrics = new Uri($"http://localhost:{Ports.Free()}/metrics");
        _environment = new Dictionary<string, string>
        {
            ["ASPNETCORE_URLS"] = Address.GetLeftPart(UriPartial.Authority),
            ["ASPNETCORE_ENVIRONMENT"] = "Development",
            ["Ledger__Metrics__Host"] = Metrics.Host,
            ["Ledger__Metrics__Port"] = $"{Metrics.Port}",
        };
        foreach (var (option, value) in environment)
            _environment[option] = value;
    }

    public override int? Pid => _process is { HasExited: false } process ? process.Id : null;

    public override Task StartAsync()
    {
        if (Pid is not null)
            return Task.CompletedTask;
        var start = new ProcessStartInfo("dotnet", [_assembly])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            // Where its appsettings.json is.
            WorkingDirectory = Path.GetDirectoryName(_assembly),
        };
        foreach (var (option, value) in _environment)
            start.Environment[option] = value;
        var process = Process.Start(start)!;
        process.OutputDataReceived += (_, line) => Keep(line.Data);
        process.ErrorDataReceived += (_, line) => Keep(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _process = process;
        return Task.CompletedTask;
    }

    /// <summary>Ends it at once.</summary>
    public void Dispose() => Kill();

    public async ValueTask DisposeAsync()
    {
        await TerminateAsync(TimeSpan.FromSeconds(10), restart: false);
        _process?.Dispose();
    }

    // Also waits for the last lines.
    protected override async Task<int> EndedAsync(CancellationToken cancellationToken)
    {
        await _process!.WaitForExitAsync(cancellationToken);
        return _process.ExitCode;
    }

    private void Keep(string? line)
    {
        if (line is not null)
            Record(line);
    }
}
