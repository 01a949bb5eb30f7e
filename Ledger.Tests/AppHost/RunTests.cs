using System.Diagnostics;
using System.Reflection;
using System.Text.RegularExpressions;
using Ledger.AppHost.Servers;
using Ledger.Tests.Harness;

namespace Ledger.Tests.AppHost;

/// <summary>The AppHost as a process, as a developer runs it: what it prints, what it restarts, and what it leaves behind.</summary>
[Collection(nameof(Ledger.Tests.Faults.Faults))]
public sealed partial class RunTests
{
    private static readonly TimeSpan s_start = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan s_recovery = TimeSpan.FromSeconds(90);

    [Fact]
    public async Task A_run_prints_steps_addresses_and_a_session_that_works_and_leaves_nothing_behind()
    {
        await using var run = new Run("--ephemeral", "--apis", "2");
        await run.StartedAsync();

        Assert.Equal(
            ["API", "OpenAPI", "Scalar", "Metrics", "RabbitMQ", "PostgreSQL", "Data"],
            run.Output.Select(line => Label().Match(line)).Where(match => match.Success).Select(match => match.Groups["label"].Value));
        Assert.Contains(run.Output, line => line.EndsWith("s  postgres is ready", StringComparison.Ordinal));
        Assert.Contains(run.Output, line => line.EndsWith("s  the database's schema is up to date", StringComparison.Ordinal));
        Assert.DoesNotContain(run.Output.Concat(run.Errors), line => line.Contains("warn", StringComparison.OrdinalIgnoreCase) || line.Contains("error", StringComparison.OrdinalIgnoreCase));
        Assert.Empty(run.Errors);
        var (exitCode, session, errors) = await Repository.RunAsync("bash", ["-c", string.Join('\n', run.Output.SkipWhile(line => !line.StartsWith("api=", StringComparison.Ordinal)).TakeWhile(line => line.Length > 0))]);
        Assert.True(exitCode == 0, errors);
        Assert.Contains("\"available\":\"74.50\"", session, StringComparison.Ordinal);

        // A worker that crashes is started again, and a command that waits is posted.
        var worker = Assert.Single(run.PidsOf("Ledger.Worker.dll"));
        using (var process = Process.GetProcessById(worker))
            process.Kill();
        await Eventually.TrueAsync(() => Task.FromResult(run.PidsOf("Ledger.Worker.dll") is [var pid] && pid != worker), s_recovery, () => string.Join('\n', run.Errors));
        Assert.Contains(run.Errors, line => line.Contains("is started again", StringComparison.Ordinal));

        var begun = Stopwatch.GetTimestamp();
        Assert.Equal(0, await run.TerminateAsync());
        Assert.InRange(Stopwatch.GetElapsedTime(begun), TimeSpan.Zero, TimeSpan.FromSeconds(30));
        Assert.Empty(run.Processes());
        Assert.False(Directory.Exists(run.Data));
    }

    [Fact]
    public async Task Servers_run_until_the_services_have_ended()
    {
        await using var run = new Run("--ephemeral", "--apis", "0");
        await run.StartedAsync();
        var worker = Assert.Single(run.PidsOf("Ledger.Worker.dll"));
        // It cannot end before it is killed.
        await SignalAsync("STOP", worker);

        var end = run.TerminateAsync();
        var isOutlived = true;
        while (!end.IsCompleted)
        {
            var processes = run.Processes();
            if (processes.Any(process => process.Pid == worker))
                isOutlived &= processes.Any(process => process.Program.Contains("postgres -D", StringComparison.Ordinal)) && processes.Any(process => process.Program.Contains("beam", StringComparison.Ordinal));
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }

        Assert.True(isOutlived, "A server ended before the worker.");
        Assert.Equal(0, await end);
        Assert.Empty(run.Processes());
    }

    [Fact]
    public async Task A_killed_run_leaves_no_process_and_its_data_serve_the_next_one()
    {
        var data = Path.Combine(Path.GetTempPath(), $"ledger-test-{Guid.NewGuid():N}");
        try
        {
            await using (var killed = new Run("--data", data, "--apis", "0", "--workers", "0"))
            {
                await killed.StartedAsync();
                killed.Kill();
                await Eventually.TrueAsync(() => Task.FromResult(killed.Processes().Count == 0), s_recovery, () => string.Join(", ", killed.Processes()));
            }
            await using var next = new Run("--data", data);
            await next.StartedAsync();
            Assert.Empty(next.Errors);
            Assert.Equal(0, await next.TerminateAsync());
            Assert.True(File.Exists(Path.Combine(data, "secrets.json")));
        }
        finally
        {
            Directory.Delete(data, recursive: true);
        }
    }

    [Fact]
    public async Task A_server_that_cannot_start_ends_the_run_with_one_line_and_exit_code_1()
    {
        await using var run = new Run("--ephemeral") { Environment = { ["LEDGER_POSTGRES"] = "/nowhere" } };

        Assert.Equal(1, await run.EndAsync());
        Assert.Contains(run.Errors, line => line.Contains("there is no initdb in /nowhere", StringComparison.Ordinal));
        Assert.Contains("ledger: postgres ended with exit code 1 before it was ready.", run.Errors);
        Assert.Empty(run.Processes());
    }

    private static async Task SignalAsync(string signal, int pid)
    {
        using var kill = Process.Start("kill", [$"-{signal}", $"{pid}"]);
        await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
    }

    [GeneratedRegex(@"^(?<label>[A-Z]\w+) {2,}\S")]
    private static partial Regex Label();

    /// <summary>One AppHost process, on free ports and without the dashboard.</summary>
    private sealed class Run(params string[] options) : IAsyncDisposable
    {
        private static readonly string s_configuration = typeof(RunTests).Assembly.GetCustomAttribute<AssemblyConfigurationAttribute>()!.Configuration;

        private readonly List<string> _output = [];
        private readonly List<string> _errors = [];
        private Process? _process;

        public Dictionary<string, string> Environment { get; } = [];

        public IReadOnlyList<string> Output => Copy(_output);

        public IReadOnlyList<string> Errors => Copy(_errors);

        /// <summary>The data directory, as printed.</summary>
        public string Data => Output.Select(line => Regex.Match(line, "^Data +(.+)$")).Single(match => match.Success).Groups[1].Value;

        public async Task StartedAsync()
        {
            Start();
            await Eventually.TrueAsync(
                () => Task.FromResult(Output.Contains("Ctrl+C stops everything.") || _process!.HasExited), s_start, () => string.Join('\n', Output.Concat(Errors)));
            Assert.False(_process!.HasExited, string.Join('\n', Output.Concat(Errors)));
        }

        public async Task<int> EndAsync()
        {
            Start();
            await _process!.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(s_start);
            return _process.ExitCode;
        }

        public async Task<int> TerminateAsync()
        {
            await SignalAsync("TERM", _process!.Id);
            await _process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(s_recovery);
            return _process.ExitCode;
        }

        public void Kill() => _process!.Kill();

        public IReadOnlyList<int> PidsOf(string program) => [.. Processes().Where(process => process.Program.Contains(program, StringComparison.Ordinal)).Select(process => process.Pid)];

        /// <summary>What was started over the data directory, by the mark in its environment, and PostgreSQL, by its command line.</summary>
        public List<(int Pid, string Program)> Processes()
        {
            if (Output.All(line => !line.StartsWith("Data ", StringComparison.Ordinal)))
                return [];
            var data = Data;
            var found = new List<(int Pid, string Program)>();
            foreach (var folder in Directory.EnumerateDirectories("/proc").Where(path => int.TryParse(Path.GetFileName(path), out _)))
            {
                try
                {
                    var program = File.ReadAllText(Path.Combine(folder, "cmdline")).Replace('\0', ' ');
                    if (File.ReadAllText(Path.Combine(folder, "environ")).Split('\0').Contains($"{Leftovers.Mark}={data}") || program.Contains($"{data}/postgres", StringComparison.Ordinal))
                        found.Add((int.Parse(Path.GetFileName(folder), null), program));
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    // It has ended meanwhile.
                }
            }
            return found;
        }

        public async ValueTask DisposeAsync()
        {
            if (_process is null)
                return;
            if (!_process.HasExited)
                await TerminateAsync();
            _process.Dispose();
        }

        private void Start()
        {
            var start = new ProcessStartInfo("dotnet",
            [
                Repository.PathOf($"Ledger.AppHost/bin/{s_configuration}/net10.0/Ledger.AppHost.dll"), "--servers", "native", "--no-dashboard",
                "--port", "0", "--postgres-port", "0", "--rabbitmq-port", "0", "--management-port", "0", .. options,
            ])
            { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.GetTempPath() };
            foreach (var (name, value) in Environment)
                start.Environment[name] = value;
            _process = Process.Start(start)!;
            _process.OutputDataReceived += (_, line) => Keep(_output, line.Data);
            _process.ErrorDataReceived += (_, line) => Keep(_errors, line.Data);
            _process.BeginOutputReadLine();
            _process.BeginErrorReadLine();
        }

        private static IReadOnlyList<string> Copy(List<string> lines)
        {
            lock (lines)
                return [.. lines];
        }

        private static void Keep(List<string> lines, string? line)
        {
            lock (lines)
            {
                if (line is not null)
                    lines.Add(line);
            }
        }
    }
}
