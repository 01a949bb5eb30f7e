using System.Diagnostics;

namespace Ledger.LocalHost.Processes;

/// <summary>How a process ended.</summary>
/// <param name="Code">The exit code; 128 + the signal's number where a signal ended it.</param>
/// <param name="Took">From the request to the end.</param>
/// <param name="Killed">It did not end in time and was killed.</param>
public readonly record struct ProcessExit(int Code, TimeSpan Took, bool Killed);

/// <summary>What a <see cref="LocalProcess"/> is: how it is started, asked for its health and stopped.</summary>
internal sealed record ProcessDefinition(string Name, Command Command)
{
    public Uri? Address { get; init; }

    public Uri? Metrics { get; init; }

    /// <summary>Whether it does its work; exceptions count as no.</summary>
    public required Func<CancellationToken, Task<bool>> IsHealthy { get; init; }

    /// <summary>Done before each start, also the ones after a crash.</summary>
    public Func<CancellationToken, Task> Prepare { get; init; } = _ => Task.CompletedTask;

    /// <summary>Which of its lines go to the log; all are in the tail.</summary>
    public Func<string, bool> IsWorthPrinting { get; init; } = _ => true;

    public int StopSignal { get; init; } = Signals.Terminate;

    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(10);

    public required TimeSpan StartTimeout { get; init; }
}

/// <summary>
/// One process of a <see cref="LocalSystem"/>, watched: once it has been healthy, it is started again whenever it ends
/// by itself, at growing intervals. Safe to use from several threads.
/// </summary>
#pragma warning disable CA1001 // What it owns holds nothing outside memory: neither is used with a wait handle or a timer.
public sealed class LocalProcess
#pragma warning restore CA1001
{
    private const int KeptLines = 2000;
    private static readonly TimeSpan s_firstPause = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan s_longestPause = TimeSpan.FromSeconds(5);
    /// <summary>After so long a life an end is no longer part of a series of crashes.</summary>
    private static readonly TimeSpan s_longEnough = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromMilliseconds(100);

    private readonly ProcessDefinition _definition;
    private readonly Action<string, string>? _log;
    private readonly Queue<string> _lines = new();
    private readonly SemaphoreSlim _starting = new(1);

    private volatile Process? _process;
    private Task _watch = Task.CompletedTask;
    private CancellationTokenSource _heldBack = new();
    private volatile bool _wasHealthy;
    private int _restartCount;

    internal LocalProcess(ProcessDefinition definition, Action<string, string>? log)
    {
        _definition = definition;
        _log = log;
    }

    /// <summary>The name that its log lines carry, such as <c>worker-1</c>.</summary>
    public string Name => _definition.Name;

    /// <summary>Where it answers HTTP; null where it does not.</summary>
    public Uri? Address => _definition.Address;

    /// <summary>Where Prometheus would find its metrics; null for servers.</summary>
    public Uri? Metrics => _definition.Metrics;

    /// <summary>The process id, or null while it is not running.</summary>
    public int? Pid => _process is { } process && !process.HasExited ? process.Id : null;

    /// <summary>How often it was started again after it had ended by itself or was killed.</summary>
    public int RestartCount => Volatile.Read(ref _restartCount);

    /// <summary>The last lines that it wrote, oldest first; at most 2000 are kept, over restarts.</summary>
    public IReadOnlyList<string> Tail(int lines = 50)
    {
        lock (_lines)
            return [.. _lines.TakeLast(lines)];
    }

    /// <summary>Starts it if it is not running and watches it; does not wait until it is healthy.</summary>
    /// <exception cref="LocalSystemException">The program cannot be started.</exception>
    public async Task StartAsync(CancellationToken cancellationToken = default)
    {
        await _starting.WaitAsync(cancellationToken);
        try
        {
            if (!_watch.IsCompleted)
                return;
            _heldBack = new CancellationTokenSource();
            var process = await LaunchAsync(cancellationToken);
            _watch = WatchAsync(process, _heldBack.Token);
        }
        finally
        {
            _starting.Release();
        }
    }

    /// <summary>Waits until it is healthy.</summary>
    /// <param name="timeout">Null: <see cref="LocalSystemOptions.StartTimeout"/>.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="LocalSystemException">It did not become healthy in time, or ended and will not be started again.</exception>
    public async Task WaitUntilHealthyAsync(TimeSpan? timeout = null, CancellationToken cancellationToken = default)
    {
        var limit = timeout ?? _definition.StartTimeout;
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(limit);
        try
        {
            while (!await IsHealthyAsync(deadline.Token))
            {
                if (_watch.IsCompleted)
                    throw new LocalSystemException($"{Name} ended{ExitCodeOf(_process)} and was not healthy by then.") { Tail = Tail() };
                await Task.Delay(s_pollInterval, deadline.Token);
            }
            _wasHealthy = true;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new LocalSystemException($"{Name} was not healthy within {limit.TotalSeconds:0} s.") { Tail = Tail() };
        }
    }

    /// <summary>Whether it runs and does its work at this moment.</summary>
    public async Task<bool> IsHealthyAsync(CancellationToken cancellationToken = default)
    {
        if (Pid is null)
            return false;
        try
        {
            return await _definition.IsHealthy(cancellationToken);
        }
        catch (Exception) when (!cancellationToken.IsCancellationRequested)
        {
            return false;
        }
    }

    /// <summary>SIGKILL to it and to every process below it; returns when they are gone.</summary>
    /// <param name="restart">False: it stays down until <see cref="StartAsync"/>.</param>
    public Task KillAsync(bool restart = true) => EndAsync(Kill, TimeSpan.FromSeconds(10), restart);

    /// <summary>SIGSTOP: it does nothing more, keeps what it has, and answers nobody, as a machine does that hangs or cannot be reached.</summary>
    public void Suspend() => Signal(Signals.Stop);

    /// <summary>SIGCONT: it goes on where it was suspended.</summary>
    public void Resume() => Signal(Signals.Continue);

    private void Signal(int signal)
    {
        if (Pid is { } pid)
            Signals.Send(pid, signal);
    }

    /// <summary>Asks it to end (SIGTERM; a fast shutdown for PostgreSQL) and kills it where it does not within <paramref name="timeout"/>.</summary>
    /// <param name="timeout">Null: 10 s for API and worker, 30 s for PostgreSQL and RabbitMQ.</param>
    /// <param name="restart">False: it stays down until <see cref="StartAsync"/>.</param>
    public Task<ProcessExit> TerminateAsync(TimeSpan? timeout = null, bool restart = true) =>
        EndAsync(process => Signals.Send(process.Id, _definition.StopSignal), timeout ?? _definition.StopTimeout, restart);

    private async Task<ProcessExit> EndAsync(Action<Process> end, TimeSpan timeout, bool restart)
    {
        Process? process;
        // A start that is under way is waited for, and none follows it once held back: what it starts is not missed.
        await _starting.WaitAsync();
        try
        {
            if (!restart)
                await _heldBack.CancelAsync();
            process = _process;
        }
        finally
        {
            _starting.Release();
        }

        var begun = Stopwatch.GetTimestamp();
        var killed = false;
        if (process is not null && !process.HasExited)
        {
            end(process);
            using var deadline = new CancellationTokenSource(timeout);
            try
            {
                await process.WaitForExitAsync(deadline.Token);
            }
            catch (OperationCanceledException)
            {
                killed = true;
                Kill(process);
                await process.WaitForExitAsync();
            }
        }
        var took = Stopwatch.GetElapsedTime(begun);
        if (!restart)
            await _watch;
        return new ProcessExit(process?.ExitCode ?? 0, took, killed);
    }

    private async Task<Process> LaunchAsync(CancellationToken cancellationToken)
    {
        await _definition.Prepare(cancellationToken);
        Process process;
        try
        {
            process = await Launcher.StartAsync(_definition.Command);
        }
        catch (System.ComponentModel.Win32Exception exception)
        {
            throw new LocalSystemException($"cannot start {Name}: {exception.Message}", exception);
        }
        _process = process;
        return process;
    }

    private async Task WatchAsync(Process first, CancellationToken heldBack)
    {
        Process? process = first;
        var pause = s_firstPause;
        while (true)
        {
            if (process is not null)
            {
                var started = Stopwatch.GetTimestamp();
                await FollowAsync(process);
                if (heldBack.IsCancellationRequested)
                    return;
                if (!_wasHealthy)
                {
                    Record($"ended{ExitCodeOf(process)} before it was healthy.");
                    return;
                }
                if (Stopwatch.GetElapsedTime(started) > s_longEnough)
                    pause = s_firstPause;
                Record($"ended{ExitCodeOf(process)}; starting it again in {pause.TotalSeconds:0.0} s.");
            }

            try
            {
                await Task.Delay(pause, heldBack);
                pause = pause * 2 < s_longestPause ? pause * 2 : s_longestPause;
                process = await LaunchAgainAsync(heldBack);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (LocalSystemException exception)
            {
                process = null;
                Record(exception.Message);
            }
        }
    }

    private async Task<Process> LaunchAgainAsync(CancellationToken heldBack)
    {
        await _starting.WaitAsync(heldBack);
        try
        {
            heldBack.ThrowIfCancellationRequested();
            Interlocked.Increment(ref _restartCount);
            return await LaunchAsync(heldBack);
        }
        finally
        {
            _starting.Release();
        }
    }

    private async Task FollowAsync(Process process)
    {
        var outputs = Task.WhenAll(ReadAsync(process.StandardOutput), ReadAsync(process.StandardError));
        await process.WaitForExitAsync();
        // A grandchild may hold the pipes open; the last words of the process itself are there by then.
        await Task.WhenAny(outputs, Task.Delay(TimeSpan.FromSeconds(1)));
    }

    private async Task ReadAsync(StreamReader output)
    {
        while (await output.ReadLineAsync() is { } line)
            Record(line, _definition.IsWorthPrinting(line));
    }

    private void Record(string line, bool print = true)
    {
        lock (_lines)
        {
            _lines.Enqueue(line);
            if (_lines.Count > KeptLines)
                _lines.Dequeue();
        }
        if (print)
            _log?.Invoke(Name, line);
    }

    private static void Kill(Process process)
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (Exception exception) when (exception is InvalidOperationException or AggregateException)
        {
            // It, or one below it, ended meanwhile by itself.
        }
    }

    private static string ExitCodeOf(Process? process) =>
        process is not null && process.HasExited ? $" with exit code {process.ExitCode}" : "";
}
