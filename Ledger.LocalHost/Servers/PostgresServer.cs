using Ledger.LocalHost.Processes;
using Npgsql;

namespace Ledger.LocalHost.Servers;

/// <summary>A private PostgreSQL over a data directory of its own.</summary>
internal static class PostgresServer
{
    /// <summary>The cluster's directory inside the data directory.</summary>
    public const string ClusterName = "postgres";

    private const string Database = "ledgerdb";
    private const string Superuser = "postgres";

    /// <summary>Creates the cluster where there is none yet and describes the process that serves it.</summary>
    public static async Task<LocalProcess> CreateAsync(DataDirectory data, int port, LocalSystemOptions options, CancellationToken cancellationToken)
    {
        var cluster = data.In(ClusterName);
        var binaries = FindBinaries(cluster);
        if (!Directory.Exists(cluster))
            await InitializeAsync(binaries, cluster, data, cancellationToken);

        var maintenance = MaintenanceConnectionString(data, port);
        return new LocalProcess(new ProcessDefinition("postgres", ServeCommand(binaries, cluster, port))
        {
            Prepare = token => ClearAsync(cluster, token),
            IsHealthy = async token =>
            {
                await using var connection = new NpgsqlConnection(maintenance);
                await connection.OpenAsync(token);
                return true;
            },
            StopSignal = Signals.Interrupt, // Fast shutdown: sessions are ended, everything is written.
            StopTimeout = TimeSpan.FromSeconds(30),
            StartTimeout = options.StartTimeout,
        }, options.Log);
    }

    /// <summary>What the services connect with.</summary>
    public static string ConnectionString(DataDirectory data, int port) => ConnectionString(data, port, Database);

    /// <summary>Creates the database that the migrations fill.</summary>
    public static async Task CreateDatabaseAsync(DataDirectory data, int port, CancellationToken cancellationToken)
    {
        await using var connection = new NpgsqlConnection(MaintenanceConnectionString(data, port));
        await connection.OpenAsync(cancellationToken);
        await using var exists = new NpgsqlCommand($"select 1 from pg_database where datname = '{Database}'", connection);
        if (await exists.ExecuteScalarAsync(cancellationToken) is not null)
            return;
        await using var create = new NpgsqlCommand($"create database {Database}", connection);
        await create.ExecuteNonQueryAsync(cancellationToken);
    }

    private static string MaintenanceConnectionString(DataDirectory data, int port) =>
        ConnectionString(data, port, "postgres") + ";Pooling=false";

    private static string ConnectionString(DataDirectory data, int port, string database) =>
        $"Host=127.0.0.1;Port={port};Username={Superuser};Password={data.Secrets.PostgresPassword};Database={database}";

    private static Command ServeCommand(string binaries, string cluster, int port) =>
        new(Path.Combine(binaries, "postgres"), [
            "-D", cluster,
            .. Settings(port).SelectMany(setting => new[] { "-c", setting }),
        ])
        {
            Account = PostgresAccount.Needed,
            Environment = CleanEnvironment(cluster),
            WorkingDirectory = "/",
            SignalAtOurDeath = "INT",
        };

    // For a small machine with other things on it. fsync and synchronous_commit stay on: a posted transaction is on disk.
    private static string[] Settings(int port) =>
    [
        "listen_addresses=127.0.0.1",
        $"port={port}",
        "unix_socket_directories=",
        "max_connections=200",
        "shared_buffers=256MB",
        "wal_compression=on",
        "max_wal_size=2GB",
        "checkpoint_timeout=15min",
        "checkpoint_completion_target=0.9",
        "log_min_messages=warning",
        "log_checkpoints=off",
        // The console adds the time of day where it is wanted; the process id tells sessions apart.
        "log_line_prefix=[%p] ",
        "log_timezone=UTC",
        "timezone=UTC",
    ];

    private static async Task InitializeAsync(string binaries, string cluster, DataDirectory data, CancellationToken cancellationToken)
    {
        // Made beside its place and moved there when it is whole: an interrupted first start leaves nothing that looks like a cluster.
        var draft = cluster + ".new";
        if (Directory.Exists(draft))
            Directory.Delete(draft, recursive: true);
        Directory.CreateDirectory(draft, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var passwordFile = draft + ".password";
        DataDirectory.WriteOwnerOnly(passwordFile, data.Secrets.PostgresPassword);
        try
        {
            if (PostgresAccount.Needed is { } account)
                await RunAsync(new Command("chown", $"{account}:", draft, passwordFile), cancellationToken);
            await RunAsync(new Command(Path.Combine(binaries, "initdb"),
                "--pgdata", draft, "--username", Superuser, "--pwfile", passwordFile, "--auth", "scram-sha-256",
                "--encoding", "UTF8", "--no-locale", "--no-instructions")
            {
                Account = PostgresAccount.Needed,
                Environment = CleanEnvironment(draft),
            }, cancellationToken);
            Directory.Move(draft, cluster);
        }
        finally
        {
            File.Delete(passwordFile);
        }
    }

    // After a kill -9 of the postmaster its children may still hold the shared memory, and its lock file names a process
    // id that may be somebody else's by now; PostgreSQL would refuse to start over either.
    private static async Task ClearAsync(string cluster, CancellationToken cancellationToken)
    {
        await Leftovers.EndPostgresAsync(cluster, cancellationToken);
        File.Delete(Path.Combine(cluster, "postmaster.pid"));
    }

    private static async Task RunAsync(Command command, CancellationToken cancellationToken)
    {
        var (exitCode, output) = await Launcher.RunAsync(command, cancellationToken);
        if (exitCode != 0)
            throw new LocalSystemException($"{Path.GetFileName(command.FileName)} failed with exit code {exitCode}.") { Tail = output };
    }

    private static Dictionary<string, string?> CleanEnvironment(string cluster)
    {
        var environment = Inherited.Without("PG");
        environment["LC_ALL"] = "C";
        environment[Leftovers.Mark] = Path.GetDirectoryName(cluster);
        return environment;
    }

    /// <summary>The directory with initdb and postgres: of the version that made the cluster, or the newest.</summary>
    private static string FindBinaries(string cluster)
    {
        var made = Path.Combine(cluster, "PG_VERSION") is var file && File.Exists(file) ? File.ReadAllText(file).Trim() : null;
        var found = Candidates().Where(directory => File.Exists(Path.Combine(directory, "initdb"))).ToList();
        if (found.Count == 0)
            throw new LocalSystemException("needs PostgreSQL 15 or later: run scripts/dependencies.sh, or install it with the system's package manager.");
        if (made is null)
            return found[0];
        return found.FirstOrDefault(directory => directory.Contains($"/{made}/", StringComparison.Ordinal))
            ?? (found.All(directory => VersionOf(directory) == 0)
                ? found[0]
                : throw new LocalSystemException($"{cluster} was made by PostgreSQL {made}, which is not installed: install it or move the directory away."));
    }

    private static IEnumerable<string> Candidates()
    {
        if (Directory.Exists("/usr/lib/postgresql"))
        {
            foreach (var version in Directory.EnumerateDirectories("/usr/lib/postgresql").Select(path => path + "/bin").OrderByDescending(VersionOf))
                yield return version;
        }
        // Elsewhere all of PostgreSQL's programs are in one directory of PATH.
        if (Launcher.Find("initdb") is { } initdb)
            yield return Path.GetDirectoryName(new FileInfo(initdb).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? initdb)!;
    }

    /// <summary>15 of <c>/usr/lib/postgresql/15/bin</c>; 0 where the path does not say.</summary>
    private static int VersionOf(string binaries) =>
        int.TryParse(Path.GetFileName(Path.GetDirectoryName(binaries)), out var version) ? version : 0;
}
