namespace Ledger.AppHost.Servers;

/// <summary>
/// Processes of an earlier run over the same data directory whose AppHost was killed. They are known by what only they can
/// have, never by a process id, which the kernel may have given to another process.
/// </summary>
internal static class Leftovers
{
    /// <summary>The environment variable that marks every process that is started over a data directory.</summary>
    public const string Mark = "LEDGER_DATA";

    /// <summary>Kills the processes that were started over a data directory and waits until they are gone.</summary>
    /// <exception cref="DistributedApplicationException">They do not end within 20 s.</exception>
    public static void End(string dataDirectory)
    {
        var mark = $"{Mark}={dataDirectory}";
        var cluster = Path.Combine(dataDirectory, LocalServers.ClusterName);
        var limit = TimeProvider.System.GetTimestamp();
        while (true)
        {
            var left = Running().Where(process => HasMark(process, mark) || IsPostgresIn(process, cluster)).Select(process => int.Parse(Path.GetFileName(process))).ToList();
            if (left.Count == 0)
                return;
            if (TimeProvider.System.GetElapsedTime(limit) > TimeSpan.FromSeconds(20))
                throw new DistributedApplicationException($"processes of an earlier run over {dataDirectory} do not end: {string.Join(", ", left)}.");
            Shell.Run("kill", ["-KILL", .. left.Select(pid => $"{pid}")]);
            Thread.Sleep(20);
        }
    }

    private static IEnumerable<string> Running() =>
        Directory.Exists("/proc")
            ? Directory.EnumerateDirectories("/proc").Where(path => int.TryParse(Path.GetFileName(path), out var pid) && pid != Environment.ProcessId)
            : [];

    private static bool HasMark(string process, string mark)
    {
        try
        {
            return File.ReadAllText(Path.Combine(process, "environ")).Split('\0').Contains(mark);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false; // It has ended meanwhile, or belongs to another account.
        }
    }

    // PostgreSQL writes its titles over its environment, but each of its processes works in its data directory. So may a
    // user's shell, hence the name.
    private static bool IsPostgresIn(string process, string cluster)
    {
        try
        {
            return new FileInfo(Path.Combine(process, "cwd")).LinkTarget == cluster
                && new FileInfo(Path.Combine(process, "exe")).LinkTarget is { } program
                && Path.GetFileName(program).StartsWith("postgres", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
