using System.Buffers.Binary;
using System.Net.Sockets;
using Ledger.LocalHost.Processes;
using RabbitMQ.Client;

namespace Ledger.LocalHost.Servers;

/// <summary>
/// A private RabbitMQ over a data directory of its own, with an epmd (Erlang's port mapper) of its own: the daemon that
/// Erlang would start by itself is shared by the whole machine and stays behind.
/// </summary>
internal static class RabbitMqServer
{
    private const string User = "ledger";

    /// <summary>Writes the configuration and describes the two processes, and <c>rabbitmqctl</c> without its arguments.</summary>
    public static (LocalProcess PortMapper, LocalProcess Broker, Command Control) Create(DataDirectory data, int port, int managementPort, LocalSystemOptions options)
    {
        var server = FindServer();
        var portMapperPort = Ports.Free();
        var distributionPort = Ports.Free();

        var home = Directory.CreateDirectory(data.In("rabbitmq"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName;
        DataDirectory.WriteOwnerOnly(Path.Combine(home, "rabbitmq.conf"), Configuration(data, port, managementPort));
        File.WriteAllText(Path.Combine(home, "enabled_plugins"), "[rabbitmq_management].\n");
        var environment = ServerEnvironment(data, home, portMapperPort, distributionPort);
        // For a user's own rabbitmqctl, see docs/running-locally.md.
        var controlEnvironment = environment
            .Where(variable => variable.Key is "HOME" or "RABBITMQ_NODENAME" or "RABBITMQ_CONF_ENV_FILE" or "ERL_EPMD_PORT")
            .ToDictionary();
        File.WriteAllLines(Path.Combine(home, "rabbitmqctl.env"), controlEnvironment.Select(variable => $"export {variable.Key}='{variable.Value}'"));

        var portMapper = new LocalProcess(new ProcessDefinition("epmd",
            new Command(FindPortMapper(), "-address", "127.0.0.1", "-port", $"{portMapperPort}") { Environment = environment })
        {
            IsHealthy = token => AnswersAsync(portMapperPort, token),
            StartTimeout = options.StartTimeout,
        }, options.Log);

        var factory = new ConnectionFactory { Uri = new Uri(ConnectionString(data, port)), AutomaticRecoveryEnabled = false };
        var broker = new LocalProcess(new ProcessDefinition("rabbitmq", new Command(server, "-noinput") { Environment = environment, WorkingDirectory = home })
        {
            // Without its port mapper it would start the machine's.
            Prepare = token => portMapper.WaitUntilHealthyAsync(cancellationToken: token),
            IsHealthy = async token =>
            {
                await using var connection = await factory.CreateConnectionAsync("ledger-localhost", token);
                return true;
            },
            // The banner and what it says before its configuration is read; the rest is in its log file.
            IsWorthPrinting = line => line.Contains("[warning]", StringComparison.Ordinal) || line.Contains("[error]", StringComparison.Ordinal),
            StopTimeout = TimeSpan.FromSeconds(30),
            StartTimeout = options.StartTimeout,
        }, options.Log);
        var control = new Command(Path.Combine(Path.GetDirectoryName(server)!, "rabbitmqctl")) { Environment = controlEnvironment, WorkingDirectory = home };
        return (portMapper, broker, control);
    }

    /// <summary>What the services connect with.</summary>
    public static string ConnectionString(DataDirectory data, int port) =>
        $"amqp://{User}:{data.Secrets.RabbitMqPassword}@127.0.0.1:{port}";

    /// <summary>The user and password of the management page.</summary>
    public static (string User, string Password) Login(DataDirectory data) => (User, data.Secrets.RabbitMqPassword);

    private static string Configuration(DataDirectory data, int port, int managementPort) =>
        $"""
        # Written at each start of Ledger.LocalHost.
        listeners.tcp.1 = 127.0.0.1:{port}
        management.tcp.ip = 127.0.0.1
        management.tcp.port = {managementPort}

        # Used when the node is created; there is no guest.
        default_user = {User}
        default_pass = {data.Secrets.RabbitMqPassword}

        # For a small machine with other things on it.
        vm_memory_high_watermark.relative = 0.3
        disk_free_limit.absolute = 256MB
        collect_statistics_interval = 10000
        # RabbitMQ 4's default, which deployments have; version 3 takes 128 MiB.
        max_message_size = 16777216
        # The write-ahead log of quorum queues is also held in memory until it is full: 512 MB by default.
        raft.wal_max_size_bytes = 134217728

        log.console = true
        log.console.level = warning
        log.console.use_colors = off
        log.file = rabbitmq.log
        log.file.level = info
        log.file.rotation.size = 10485760
        log.file.rotation.count = 3

        """;

    private static Dictionary<string, string?> ServerEnvironment(DataDirectory data, string home, int portMapperPort, int distributionPort)
    {
        var environment = Inherited.Without("RABBITMQ_", "ERL_");
        foreach (var (name, value) in new Dictionary<string, string>
        {
            [Leftovers.Mark] = data.Path,
            ["HOME"] = home, // Erlang makes and keeps its cookie here.
            ["RABBITMQ_NODENAME"] = "ledger@localhost", // Part of the data's names; the port mapper of its own keeps runs apart.
            ["RABBITMQ_CONF_ENV_FILE"] = Path.Combine(home, "rabbitmq-env.conf"), // Does not exist: nothing of the system's is read.
            ["RABBITMQ_CONFIG_FILE"] = Path.Combine(home, "rabbitmq.conf"),
            ["RABBITMQ_CONFIG_FILES"] = Path.Combine(home, "conf.d"),
            ["RABBITMQ_ADVANCED_CONFIG_FILE"] = Path.Combine(home, "advanced.config"),
            ["RABBITMQ_ENABLED_PLUGINS_FILE"] = Path.Combine(home, "enabled_plugins"),
            ["RABBITMQ_MNESIA_BASE"] = Path.Combine(home, "mnesia"),
            ["RABBITMQ_LOG_BASE"] = Path.Combine(home, "log"),
            ["RABBITMQ_PID_FILE"] = Path.Combine(home, "rabbitmq.pid"),
            ["RABBITMQ_DIST_PORT"] = $"{distributionPort}",
            ["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] = "-kernel inet_dist_use_interface {127,0,0,1}",
            // Waiting schedulers sleep instead of spinning on cores that API, worker and PostgreSQL could use.
            ["RABBITMQ_SCHEDULER_BUSY_WAIT_THRESHOLD"] = "none",
            ["RABBITMQ_ALLOW_INPUT"] = "true", // The script becomes the server instead of watching it: one process to signal.
            ["ERL_EPMD_ADDRESS"] = "127.0.0.1",
            ["ERL_EPMD_PORT"] = $"{portMapperPort}",
            ["ERL_ZFLAGS"] = "-start_epmd false",
        })
        {
            environment[name] = value;
        }
        return environment;
    }

    // NAMES_REQ of Erlang's distribution protocol: a length of one and 'n'; the answer begins with the port.
    private static async Task<bool> AnswersAsync(int portMapperPort, CancellationToken cancellationToken)
    {
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", portMapperPort, cancellationToken);
        await using var stream = client.GetStream();
        await stream.WriteAsync(new byte[] { 0, 1, (byte)'n' }, cancellationToken);
        var port = new byte[4];
        await stream.ReadExactlyAsync(port, cancellationToken);
        return BinaryPrimitives.ReadInt32BigEndian(port) == portMapperPort;
    }

    // Debian's wrapper in /usr/sbin insists on root and on its own account, and works on the system's directories.
    private static string FindServer() =>
        (Directory.Exists("/usr/lib/rabbitmq/lib") ? Directory.EnumerateDirectories("/usr/lib/rabbitmq/lib", "rabbitmq_server-*") : [])
            .Select(directory => Path.Combine(directory, "sbin/rabbitmq-server"))
            .Where(File.Exists)
            .OrderDescending(StringComparer.Ordinal)
            .FirstOrDefault()
        ?? Launcher.Find("rabbitmq-server")
        ?? throw new LocalSystemException("needs RabbitMQ 3.10 or later: run scripts/dependencies.sh, or install it with the system's package manager.");

    private static string FindPortMapper() =>
        Launcher.Find("epmd")
        ?? (Directory.Exists("/usr/lib/erlang") ? Directory.EnumerateFiles("/usr/lib/erlang", "epmd", SearchOption.AllDirectories) : []).FirstOrDefault()
        ?? throw new LocalSystemException("needs Erlang's epmd, which comes with RabbitMQ's packages.");
}
