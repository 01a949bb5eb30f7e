using System.Globalization;
using Ledger.LocalHost.Processes;
using Ledger.LocalHost.Servers;

namespace Ledger.LocalHost;

/// <summary>
/// The whole system as plain processes of this machine: PostgreSQL, RabbitMQ, migrations, API and worker, all on loopback,
/// all private to one data directory. Disposing stops everything; a kill of this process does too, less gently.
/// </summary>
/// <example><code>
/// await using var system = await LocalSystem.StartAsync(LocalSystemOptions.ForTests with { Workers = 2 }, token);
/// await system.Workers[0].KillAsync();
/// await system.Workers[0].WaitUntilHealthyAsync();
/// </code></example>
public sealed class LocalSystem : IAsyncDisposable
{
    private static readonly HttpClient s_http = new() { Timeout = TimeSpan.FromSeconds(5) };

    private readonly LocalSystemOptions _options;
    private readonly DataDirectory _data;
    private readonly List<LocalProcess> _apis = [];
    private readonly List<LocalProcess> _workers = [];
    private readonly int _postgresPort;
    private readonly int _rabbitMqPort;
    private readonly int _managementPort;
    private readonly int[] _apiPorts;
    private readonly int _dashboardPort;
    private readonly int _otlpPort;
    private LocalProcess? _portMapper;
    private LocalProcess? _rabbitMq;
    private Command? _rabbitMqControl;
    private LocalProcess? _postgres;
    private LocalProcess? _dashboard;
    private bool _disposed;

    private LocalSystem(LocalSystemOptions options, DataDirectory data)
    {
        _options = options;
        _data = data;
        _postgresPort = Ports.Claim(options.PostgresPort, "PostgreSQL", "--postgres-port");
        _rabbitMqPort = Ports.Claim(options.RabbitMqPort, "RabbitMQ", "--rabbitmq-port");
        _managementPort = Ports.Claim(options.ManagementPort, "RabbitMQ's management page", "--management-port");
        _apiPorts = [.. Enumerable.Range(0, options.Apis)
            .Select(index => Ports.Claim(options.ApiPort == 0 ? 0 : options.ApiPort + index, $"api-{index + 1}", "--port"))];
        if (options.Dashboard)
        {
            _dashboardPort = Ports.Claim(options.DashboardPort, "the Aspire dashboard", "--dashboard-port");
            _otlpPort = Ports.Free();
        }
    }

    /// <summary>Where everything is kept.</summary>
    public string DataDirectory => _data.Path;

    /// <summary>For Npgsql, with the password; database <c>ledgerdb</c>.</summary>
    public string PostgresConnectionString => PostgresServer.ConnectionString(_data, _postgresPort);

    /// <summary>An <c>amqp://</c> URI with user and password.</summary>
    public string RabbitMqConnectionString => RabbitMqServer.ConnectionString(_data, _rabbitMqPort);

    /// <summary>RabbitMQ's management page and HTTP API.</summary>
    public Uri ManagementAddress => new($"http://127.0.0.1:{_managementPort}");

    /// <summary>The login of <see cref="ManagementAddress"/>.</summary>
    public (string User, string Password) ManagementLogin => RabbitMqServer.Login(_data);

    /// <summary>The Aspire dashboard, if it was asked for.</summary>
    public LocalProcess? Dashboard => _dashboard;

    public LocalProcess Postgres => _postgres!;

    public LocalProcess RabbitMq => _rabbitMq!;

    /// <summary>In the order of their ports and starts.</summary>
    public IReadOnlyList<LocalProcess> Apis => _apis;

    /// <summary>In the order of their starts.</summary>
    public IReadOnlyList<LocalProcess> Workers => _workers;

    /// <summary>Starts everything and returns when all of it is healthy. What was started is stopped again where that fails.</summary>
    /// <exception cref="LocalSystemException">Something is missing, in use or does not become healthy in time.</exception>
    public static async Task<LocalSystem> StartAsync(LocalSystemOptions options, CancellationToken cancellationToken = default)
    {
        var data = await LocalHost.DataDirectory.OpenAsync(options, cancellationToken);
        LocalSystem system;
        try
        {
            system = new LocalSystem(options, data);
        }
        catch
        {
            data.Dispose();
            throw;
        }
        try
        {
            await system.StartAllAsync(cancellationToken);
            return system;
        }
        catch
        {
            await system.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts one more API on a free port and waits until it is healthy.</summary>
    public async Task<LocalProcess> AddApiAsync(IReadOnlyDictionary<string, string>? environment = null, CancellationToken cancellationToken = default)
    {
        var api = NewApi(Ports.Free(), environment);
        await StartHealthyAsync(api, cancellationToken);
        return api;
    }

    /// <summary>Starts one more worker and waits until it is healthy.</summary>
    public async Task<LocalProcess> AddWorkerAsync(IReadOnlyDictionary<string, string>? environment = null, CancellationToken cancellationToken = default)
    {
        var worker = NewWorker(environment);
        await StartHealthyAsync(worker, cancellationToken);
        return worker;
    }

    /// <summary>Runs the <c>ledger</c> tool against this system to its end and returns its exit code and what it wrote.</summary>
    public Task<(int ExitCode, IReadOnlyList<string> Output)> RunCliAsync(IReadOnlyList<string> arguments, CancellationToken cancellationToken = default) =>
        Launcher.RunAsync(ServiceCommand("Ledger.Cli", "ledger.dll", arguments, ServiceEnvironment()), cancellationToken);

    /// <summary>Runs <c>rabbitmqctl</c> against this system's RabbitMQ to its end and returns its exit code and what it wrote.</summary>
    public Task<(int ExitCode, IReadOnlyList<string> Output)> RunRabbitMqControlAsync(IReadOnlyList<string> arguments, CancellationToken cancellationToken = default) =>
        Launcher.RunAsync(_rabbitMqControl! with { Arguments = arguments }, cancellationToken);

    /// <summary>Stops API and worker first, then RabbitMQ and PostgreSQL, and deletes an ephemeral data directory.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        await Task.WhenAll(_apis.Concat(_workers).Select(service => service.TerminateAsync(restart: false)));
        await Task.WhenAll(StopRabbitMqAsync(), Stop(_postgres), Stop(_dashboard));
        await Leftovers.EndAsync(_data.Path, CancellationToken.None);
        _data.Dispose();

        static Task Stop(LocalProcess? process) => process?.TerminateAsync(restart: false) ?? Task.CompletedTask;

        async Task StopRabbitMqAsync()
        {
            // Its orderly end takes 5 s, in which its management plugin waits for itself: worth it only for data that is kept.
            if (_rabbitMq is not null)
                await (_options.Ephemeral ? _rabbitMq.KillAsync(restart: false) : _rabbitMq.TerminateAsync(restart: false));
            if (_portMapper is not null)
                await _portMapper.KillAsync(restart: false);
        }
    }

    private async Task StartAllAsync(CancellationToken cancellationToken)
    {
        // The one that fails first says why; the other is not waited for.
        using var failed = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await BothOrFirstFailureAsync(StartPostgresAsync(failed.Token), StartRabbitMqAsync(failed.Token), failed);

        if (_options.Dashboard)
        {
            _dashboard = AspireDashboard.Create(_data, _dashboardPort, _otlpPort, _options);
            await StartHealthyAsync(_dashboard, cancellationToken);
        }
        for (var index = 0; index < _options.Apis; index++)
            NewApi(_apiPorts[index], null);
        for (var index = 0; index < _options.Workers; index++)
            NewWorker(null);
        PrometheusTargets.Write(_data, ("api", _apis), ("worker", _workers));
        await Task.WhenAll(_apis.Concat(_workers).Select(service => StartHealthyAsync(service, cancellationToken)));
    }

    private async Task StartPostgresAsync(CancellationToken cancellationToken)
    {
        _postgres = await PostgresServer.CreateAsync(_data, _postgresPort, _options, cancellationToken);
        await StartHealthyAsync(_postgres, cancellationToken);
        await PostgresServer.CreateDatabaseAsync(_data, _postgresPort, cancellationToken);
        var (exitCode, output) = await RunCliAsync(["migrate"], cancellationToken);
        foreach (var line in output)
            _options.Log?.Invoke("migrate", line);
        if (exitCode != 0)
            throw new LocalSystemException($"ledger migrate failed with exit code {exitCode}.") { Tail = output };
    }

    private async Task StartRabbitMqAsync(CancellationToken cancellationToken)
    {
        (_portMapper, _rabbitMq, _rabbitMqControl) = RabbitMqServer.Create(_data, _rabbitMqPort, _managementPort, _options);
        await StartHealthyAsync(_portMapper, cancellationToken);
        await StartHealthyAsync(_rabbitMq, cancellationToken);
    }

    private static async Task StartHealthyAsync(LocalProcess process, CancellationToken cancellationToken)
    {
        await process.StartAsync(cancellationToken);
        await process.WaitUntilHealthyAsync(cancellationToken: cancellationToken);
    }

    private static async Task BothOrFirstFailureAsync(Task one, Task other, CancellationTokenSource failed)
    {
        var first = await Task.WhenAny(one, other);
        if (!first.IsCompletedSuccessfully)
            await failed.CancelAsync();
        try
        {
            await Task.WhenAll(one, other);
        }
        catch
        {
            await first;
            throw;
        }
    }

    private LocalProcess NewApi(int port, IReadOnlyDictionary<string, string>? environment) =>
        NewService(_apis, "api", "Ledger.Api", new Uri($"http://localhost:{port}"), environment);

    private LocalProcess NewWorker(IReadOnlyDictionary<string, string>? environment) =>
        NewService(_workers, "worker", "Ledger.Worker", new Uri($"http://127.0.0.1:{Ports.Free()}"), environment);

    private LocalProcess NewService(List<LocalProcess> services, string kind, string project, Uri address, IReadOnlyDictionary<string, string>? extra)
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"{kind}-{services.Count + 1}");
        var environment = ServiceEnvironment();
        if (_options.Dashboard)
            AspireDashboard.AddExport(environment, _otlpPort, kind, name);
        environment["ASPNETCORE_URLS"] = address.GetLeftPart(UriPartial.Authority);
        var metrics = new Uri($"http://localhost:{Ports.Free()}/metrics");
        environment["Ledger__Metrics__Host"] = metrics.Host;
        environment["Ledger__Metrics__Port"] = metrics.Port.ToString(CultureInfo.InvariantCulture);
        foreach (var (variable, value) in extra ?? new Dictionary<string, string>())
            environment[variable] = value;

        var service = new LocalProcess(new ProcessDefinition(
            name,
            ServiceCommand(project, project + ".dll", [], environment))
        {
            Address = address,
            Metrics = metrics,
            IsHealthy = async token =>
            {
                using var answer = await s_http.GetAsync(new Uri(address, "/health"), token);
                return answer.IsSuccessStatusCode;
            },
            StartTimeout = _options.StartTimeout,
        }, _options.Log);
        services.Add(service);
        return service;
    }

    private Dictionary<string, string?> ServiceEnvironment()
    {
        var environment = new Dictionary<string, string?>
        {
            [Leftovers.Mark] = _data.Path,
            ["ConnectionStrings__ledgerdb"] = PostgresConnectionString,
            ["ConnectionStrings__messaging"] = RabbitMqConnectionString,
            ["ASPNETCORE_ENVIRONMENT"] = _options.EnvironmentName,
            ["DOTNET_ENVIRONMENT"] = _options.EnvironmentName,
        };
        foreach (var (name, value) in _options.Environment)
            environment[name] = value;
        return environment;
    }

    // Works in the directory of its .dll, where its appsettings.json is.
    private static Command ServiceCommand(string project, string assembly, IReadOnlyList<string> arguments, Dictionary<string, string?> environment)
    {
        var path = Binaries.Find(project, assembly);
        return new Command(Binaries.Dotnet, [path, .. arguments])
        {
            Environment = environment,
            WorkingDirectory = Path.GetDirectoryName(path),
        };
    }
}
