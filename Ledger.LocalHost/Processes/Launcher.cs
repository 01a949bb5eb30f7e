using System.Collections.Concurrent;
using System.Diagnostics;

namespace Ledger.LocalHost.Processes;

/// <summary>A command line and what surrounds it.</summary>
/// <param name="FileName">A path, or a name to be found in <c>PATH</c>.</param>
/// <param name="Arguments">Passed one by one, without a shell.</param>
internal sealed record Command(string FileName, params IReadOnlyList<string> Arguments)
{
    /// <summary>Set on top of the inherited environment; null removes a variable.</summary>
    public IReadOnlyDictionary<string, string?> Environment { get; init; } = new Dictionary<string, string?>();

    public string? WorkingDirectory { get; init; }

    /// <summary>The account to run under; null: the one that this process runs under.</summary>
    public string? Account { get; init; }

    /// <summary>What the kernel sends the process when this one dies without having stopped it.</summary>
    public string SignalAtOurDeath { get; init; } = "KILL";
}

/// <summary>
/// Starts processes that outlive neither this one nor its patience: in a session of their own, so that Ctrl+C in the
/// terminal reaches only this process, which stops them in order; and bound to it by <c>PR_SET_PDEATHSIG</c>.
/// </summary>
internal static class Launcher
{
    // The kernel sends the death signal when the *thread* that forked ends, so every start happens on one thread
    // that lives as long as the process; a thread of the pool may be retired at any time.
    private static readonly BlockingCollection<Action> s_starts = StartThread();

    private static readonly string? s_setsid = Find("setsid");
    private static readonly string? s_setpriv = Find("setpriv");

    /// <summary>Starts <paramref name="command"/> with both its outputs redirected and its input closed.</summary>
    public static async Task<Process> StartAsync(Command command)
    {
        var started = new TaskCompletionSource<Process>(TaskCreationOptions.RunContinuationsAsynchronously);
        var info = Describe(command);
        s_starts.Add(() =>
        {
            try
            {
                started.SetResult(Process.Start(info)!);
            }
            catch (Exception exception)
            {
                started.SetException(exception);
            }
        });
        var process = await started.Task;
        process.StandardInput.Close();
        return process;
    }

    /// <summary>Runs <paramref name="command"/> to its end and returns its exit code and both outputs, line by line.</summary>
    public static async Task<(int ExitCode, IReadOnlyList<string> Output)> RunAsync(Command command, CancellationToken cancellationToken)
    {
        using var process = await StartAsync(command);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(cancellationToken);
            var errors = process.StandardError.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken);
            return (process.ExitCode, [.. $"{await output}\n{await errors}".Split('\n', StringSplitOptions.RemoveEmptyEntries)]);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }

    /// <summary>The full path of a program in <c>PATH</c> or the usual system directories, or null.</summary>
    public static string? Find(string program) =>
        $"{System.Environment.GetEnvironmentVariable("PATH")}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            .Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Select(directory => Path.Combine(directory, program))
            .FirstOrDefault(File.Exists);

    private static ProcessStartInfo Describe(Command command)
    {
        List<string> line = [command.FileName, .. command.Arguments];
        if (s_setpriv is not null)
            line = [s_setpriv, .. StepDown(command.Account), "--pdeathsig", command.SignalAtOurDeath, "--", .. line];
        else if (command.Account is not null)
            throw new LocalSystemException("needs setpriv (package util-linux) to run PostgreSQL under another account than root.");
        if (s_setsid is not null)
            line = [s_setsid, .. line];

        var info = new ProcessStartInfo(line[0], line[1..])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = command.WorkingDirectory ?? "/",
        };
        foreach (var (name, value) in command.Environment)
        {
            if (value is null)
                info.Environment.Remove(name);
            else
                info.Environment[name] = value;
        }
        return info;
    }

    private static string[] StepDown(string? account) =>
        account is null ? [] : ["--reuid", account, "--regid", account, "--init-groups"];

    private static BlockingCollection<Action> StartThread()
    {
        var starts = new BlockingCollection<Action>();
        new Thread(() =>
        {
            foreach (var start in starts.GetConsumingEnumerable())
                start();
        })
        { IsBackground = true, Name = "process launcher" }.Start();
        return starts;
    }
}
