using Ledger.LocalHost.Servers;

namespace Ledger.LocalHost.Processes;

/// <summary>
/// Processes of an earlier run over the same data directory that was killed before it could stop them. They are known
/// by what only they can have, never by a process id, which the kernel may long have given to somebody else.
/// </summary>
internal static class Leftovers
{
    /// <summary>The environment variable by which everything that is started over a data directory is known.</summary>
    public const string Mark = "LEDGER_LOCALHOST_DATA";

    /// <summary>Kills everything that was started over <paramref name="dataDirectory"/> and waits until it is gone.</summary>
    public static Task EndAsync(string dataDirectory, CancellationToken cancellationToken)
    {
        var mark = $"{Mark}={dataDirectory}";
        var cluster = Path.Combine(dataDirectory, PostgresServer.ClusterName);
        return EndAsync(process => HasMark(process, mark) || IsPostgresIn(process, cluster), dataDirectory, cancellationToken);
    }

    /// <summary>Kills what is left of a PostgreSQL over <paramref name="cluster"/> and waits until it is gone.</summary>
    public static Task EndPostgresAsync(string cluster, CancellationToken cancellationToken) =>
        EndAsync(process => IsPostgresIn(process, cluster), cluster, cancellationToken);

    private static async Task EndAsync(Func<string, bool> isOurs, string directory, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(TimeSpan.FromSeconds(20));
        while (true)
        {
            var left = Running().Where(process => isOurs(process)).Select(process => int.Parse(Path.GetFileName(process))).ToList();
            if (left.Count == 0)
                return;
            foreach (var pid in left)
                Signals.Send(pid, Signals.Kill);
            try
            {
                await Task.Delay(20, deadline.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new LocalSystemException($"processes of an earlier run over {directory} do not end: {string.Join(", ", left)}.");
            }
        }
    }

    private static IEnumerable<string> Running() =>
        Directory.Exists("/proc")
            ? Directory.EnumerateDirectories("/proc").Where(path =>
                int.TryParse(Path.GetFileName(path), out var pid) && pid != Environment.ProcessId)
            : [];

    private static bool HasMark(string process, string mark)
    {
        try
        {
            return File.ReadAllText(Path.Combine(process, "environ")).Split('\0').Contains(mark);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false; // Gone meanwhile, or another account's.
        }
    }

    // PostgreSQL writes its titles over its environment, but every one of its processes works in its data directory.
    // So may somebody's shell, hence the name.
    private static bool IsPostgresIn(string process, string cluster)
    {
        try
        {
            return new FileInfo(Path.Combine(process, "cwd")).LinkTarget == cluster
                && new FileInfo(Path.Combine(process, "exe")).LinkTarget is { } program
                && Path.GetFileName(program).StartsWith("postgres", StringComparison.Ordinal);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
