using Ledger.LocalHost.Processes;

namespace Ledger.LocalHost.Servers;

/// <summary>PostgreSQL refuses to run as root, so root runs it under the account that its package makes.</summary>
internal static class PostgresAccount
{
    public const string Name = "postgres";

    /// <summary>The account to step down to; null where this process is not root's and none is needed.</summary>
    public static string? Needed => Environment.IsPrivilegedProcess ? Name : null;

    /// <summary>Whether PostgreSQL, under its account, can get to <paramref name="directory"/>.</summary>
    public static async Task<bool> CanReachAsync(string directory, CancellationToken cancellationToken) =>
        Needed is null
        || await Launcher.RunAsync(new Command("test", "-x", directory) { Account = Needed }, cancellationToken) is { ExitCode: 0 };
}
