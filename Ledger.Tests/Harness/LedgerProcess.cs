using System.Diagnostics;

namespace Ledger.Tests.Harness;

/// <summary>How a process ended.</summary>
/// <param name="Code">The exit code; 128 + the signal's number if a signal ended it.</param>
/// <param name="Took">From the request to the end.</param>
/// <param name="Killed">It did not end in time and was killed.</param>
public readonly record struct ProcessExit(int Code, TimeSpan Took, bool Killed);

/// <summary>One process of a <see cref="RunningSystem"/>, which a test may kill, suspend, stop and start.</summary>
public abstract class LedgerProcess(string name)
{
    private const int KeptLines = 4000;
    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan s_killTimeout = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(50);
    private static readonly HttpClient s_http = new() { Timeout = TimeSpan.FromSeconds(5) };

    private readonly Queue<string> _lines = new();

    /// <summary>The resource's name, such as <c>worker-2</c>.</summary>
    public string Name => name;

    /// <summary>Where it answers HTTP; null for servers.</summary>
    public Uri? Address { get; protected init; }

    /// <summary>Where Prometheus finds its metrics; null for servers.</summary>
    public Uri? Metrics { get; protected init; }

    /// <summary>The process id, or null while it does not run.</summary>
    public abstract int? Pid { get; }

    /// <summary>Starts it if it does not run; does not wait until it is healthy.</summary>
    public abstract Task StartAsync();

    /// <summary>Returns the exit code once the orchestrator knows that the process has ended.</summary>
    protected abstract Task<int> EndedAsync(CancellationToken cancellationToken);

    /// <summary>Sends what asks it to end in order.</summary>
    protected virtual void AskToEnd() => Signal("TERM", Pid);

    /// <summary>Ends it at once.</summary>
    protected virtual void Kill() => Signal("KILL", Pid);

    /// <summary>The last lines that it wrote, oldest first.</summary>
    public IReadOnlyList<string> Tail(int lines = 50)
    {
        lock (_lines)
            return [.. _lines.TakeLast(lines)];
    }

    protected void Record(string line)
    {
        lock (_lines)
        {
            _lines.Enqueue(line);
            if (_lines.Count > KeptLines)
                _lines.Dequeue();
        }
    }

    /// <summary>SIGKILL; returns when it has ended, or has been started again.</summary>
    /// <param name="restart">False: it stays down until <see cref="StartAsync"/>.</param>
    public async Task KillAsync(bool restart = true)
    {
        if (Pid is { } pid)
        {
            Kill();
            using var limit = new CancellationTokenSource(s_killTimeout);
            await GoneAsync(pid, limit.Token);
            await EndedAsync(limit.Token);
        }
        if (restart)
            await StartAsync();
    }

    /// <summary>Asks it to end, as an orchestrator does, and kills it if it does not within <paramref name="timeout"/>, by default 30 s.</summary>
    /// <param name="timeout">How long it may take.</param>
    /// <param name="restart">False: it stays down until <see cref="StartAsync"/>.</param>
    public async Task<ProcessExit> TerminateAsync(TimeSpan? timeout = null, bool restart = true)
    {
        if (Pid is not { } pid)
            return default;
        var begun = Stopwatch.GetTimestamp();
        var killed = false;
        AskToEnd();
        using (var limit = new CancellationTokenSource(timeout ?? TimeSpan.FromSeconds(30)))
        {
            try
            {
                await GoneAsync(pid, limit.Token);
            }
            catch (OperationCanceledException)
            {
                killed = true;
                Kill();
            }
        }
        using var killLimit = new CancellationTokenSource(s_killTimeout);
        await GoneAsync(pid, killLimit.Token);
        var took = Stopwatch.GetElapsedTime(begun);
        var exit = new ProcessExit(await EndedAsync(killLimit.Token), took, killed);
        if (restart)
            await StartAsync();
        return exit;
    }

    /// <summary>SIGSTOP: it keeps what it has and answers nothing, like a machine that hangs or cannot be reached.</summary>
    public void Suspend() => Signal("STOP", Pid);

    /// <summary>SIGCONT: it goes on where it was suspended.</summary>
    public void Resume() => Signal("CONT", Pid);

    /// <summary>Waits until it is healthy; fails the test if it is not in time.</summary>
    public Task WaitUntilHealthyAsync(TimeSpan? timeout = null) => Eventually.TrueAsync(
        () => IsHealthyAsync(), timeout ?? s_startTimeout, () => $"{Name} is not healthy. Its last lines:\n{string.Join('\n', Tail())}\n");

    /// <summary>Whether it runs and does its work at this moment.</summary>
    public async Task<bool> IsHealthyAsync()
    {
        if (Pid is null)
            return false;
        try
        {
            return await AnswersAsync();
        }
        catch (Exception)
        {
            return false;
        }
    }

    /// <summary>Whether it does its work; an exception counts as no.</summary>
    protected virtual async Task<bool> AnswersAsync()
    {
        using var answer = await s_http.GetAsync(new Uri(Address!, "/health"));
        return answer.IsSuccessStatusCode;
    }

    protected static bool IsRunning(int pid) => Directory.Exists($"/proc/{pid}");

    protected static void Signal(string signal, params IEnumerable<int?> pids)
    {
        string[] running = [.. pids.OfType<int>().Where(IsRunning).Select(pid => $"{pid}")];
        if (running.Length == 0)
            return;
        using var kill = Process.Start(new ProcessStartInfo("kill", [$"-{signal}", .. running]) { RedirectStandardError = true })!;
        kill.WaitForExit();
    }

    private static async Task GoneAsync(int pid, CancellationToken cancellationToken)
    {
        while (IsRunning(pid))
            await Task.Delay(s_interval, cancellationToken);
    }
}
