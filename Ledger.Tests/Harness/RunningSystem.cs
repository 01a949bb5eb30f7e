using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Ledger.AppHost.Servers;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Ledger.Tests.Harness;

/// <summary>
/// A whole system as the AppHost starts it, on free ports with fresh data: PostgreSQL, RabbitMQ, migrations, APIs and workers.
/// Each process can be reached, killed and started by itself.
/// </summary>
public sealed class RunningSystem : IAsyncDisposable
{
    /// <summary>The fewest rounds that the API accepts: hundreds of fresh users must be cheap.</summary>
    public const string CheapPasswords = "1000";

    private static readonly TimeSpan s_startTimeout = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan s_stopTimeout = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_controlTimeout = TimeSpan.FromSeconds(30);

    private readonly DistributedApplication _app;
    private readonly List<ExtraProcess> _extra = [];

    private RunningSystem(DistributedApplication app) => _app = app;

    /// <summary>PostgreSQL and RabbitMQ are containers, which tests neither kill nor control: <c>LEDGER_TEST_SERVERS=containers</c>.</summary>
    public static bool UsesContainers { get; } = Environment.GetEnvironmentVariable("LEDGER_TEST_SERVERS") == "containers";

    /// <summary>For Npgsql, as the server's owner.</summary>
    public string PostgresConnectionString { get; private set; } = "";

    /// <summary>An <c>amqp://</c> URI with user and password.</summary>
    public string RabbitMqConnectionString { get; private set; } = "";

    /// <summary>PostgreSQL, unless it is a container.</summary>
    public LedgerProcess Postgres { get; private set; } = null!;

    /// <summary>RabbitMQ, unless it is a container.</summary>
    public LedgerProcess RabbitMq { get; private set; } = null!;

    /// <summary><c>api</c>, <c>api-2</c>, …, then those that tests added.</summary>
    public IReadOnlyList<LedgerProcess> Apis { get; private set; } = [];

    /// <summary><c>worker</c>, <c>worker-2</c>, …, then those that tests added.</summary>
    public IReadOnlyList<LedgerProcess> Workers { get; private set; } = [];

    /// <summary>Where native servers keep their data.</summary>
    public string DataDirectory => Data?.Root ?? throw new InvalidOperationException("The servers are containers.");

    private DataDirectory? Data => _app.Services.GetService<DataDirectory>();

    /// <summary>Starts everything and returns when it is healthy.</summary>
    /// <param name="native">Servers that tests may kill, also where <see cref="UsesContainers"/> is true.</param>
    public static async Task<RunningSystem> StartAsync(int apis, int workers, bool native = false)
    {
        using var deadline = new CancellationTokenSource(s_startTimeout);
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Ledger_AppHost>(
            [
                "--test", "--no-dashboard", "--ephemeral", "--servers", UsesContainers && !native ? "containers" : "native",
                "--apis", $"{apis}", "--workers", $"{workers}", "--port", "0", "--postgres-port", "0", "--rabbitmq-port", "0", "--management-port", "0",
            ],
            deadline.Token);
        foreach (var service in builder.Resources.OfType<ProjectResource>())
            builder.CreateResourceBuilder(service).WithEnvironment("Ledger__Identity__PasswordIterations", CheapPasswords);
        // A failed test prints what its processes wrote: LogsOfFailures.
        builder.Services.AddLogging(logging => logging.ClearProviders());
        var system = new RunningSystem(await builder.BuildAsync(deadline.Token));
        try
        {
            await system._app.StartAsync(deadline.Token);
            await system.OpenAsync(deadline.Token);
            await Task.WhenAll(system.Apis.Concat(system.Workers).Select(service => service.WaitUntilHealthyAsync()));
            return system;
        }
        catch (Exception e)
        {
            var logs = string.Join('\n', system.LastLines());
            await system.DisposeAsync();
            throw new InvalidOperationException($"The system did not start: {e.Message}\n{logs}", e);
        }
    }

    /// <summary>Starts one more API on a free port and waits until it is healthy.</summary>
    public async Task<LedgerProcess> AddApiAsync(params (string Option, string Value)[] environment)
    {
        var api = await AddAsync("extra api", "Ledger.Api", environment);
        lock (_extra)
            Apis = [.. Apis, api];
        return api;
    }

    /// <summary>Starts one more worker and waits until it is healthy.</summary>
    public async Task<LedgerProcess> AddWorkerAsync(params (string Option, string Value)[] environment)
    {
        var worker = await AddAsync("extra worker", "Ledger.Worker", environment);
        lock (_extra)
            Workers = [.. Workers, worker];
        return worker;
    }

    /// <summary>Ends a worker that a test added.</summary>
    public async Task RemoveWorkerAsync(LedgerProcess worker)
    {
        lock (_extra)
        {
            Workers = [.. Workers.Where(other => other != worker)];
            _extra.Remove((ExtraProcess)worker);
        }
        await ((ExtraProcess)worker).DisposeAsync();
    }

    /// <summary>Runs the <c>ledger</c> tool against this system to its end.</summary>
    public Task<(int ExitCode, string[] Output, string[] Errors)> RunCliAsync(params string[] arguments) => Tool.RunAsync(
        "ledger", arguments, new Dictionary<string, string?>
        {
            [$"ConnectionStrings__{ResourceNames.Database}"] = PostgresConnectionString,
            [$"ConnectionStrings__{ResourceNames.Messaging}"] = RabbitMqConnectionString,
        });

    /// <summary>Runs <c>rabbitmqctl</c> against this system's RabbitMQ, as an operator does; returns the lines that it wrote.</summary>
    public async Task<IReadOnlyList<string>> ControlRabbitMqAsync(params string[] arguments)
    {
        Assert.SkipWhen(Data is null, "RabbitMQ is a container: rabbitmqctl is not at hand.");
        var (exitCode, output, errors) = await Repository.RunAsync(
            "bash", ["-c", "set -a; . \"$0/rabbitmq/rabbitmqctl.env\"; cd /; exec $(compgen -G '/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmqctl' | tail -n 1 || command -v rabbitmqctl) \"$@\"", DataDirectory, .. arguments])
            .WaitAsync(s_controlTimeout);
        Assert.True(exitCode == 0, $"{output}\n{errors}");
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>What each process wrote last, for the message of a failed test.</summary>
    public IEnumerable<string> LastLines()
    {
        const int Lines = 60;
        // Frames of the framework and of the drivers, dozens for each exception, would displace everything else.
        static bool IsOfInterest(string line) => !line.StartsWith("         at ", StringComparison.Ordinal) || line.Contains("at Ledger.", StringComparison.Ordinal);
        return Apis.Concat(Workers).Append(RabbitMq).Append(Postgres).OfType<LedgerProcess>()
            .SelectMany(process => process.Tail(2000).Where(IsOfInterest).TakeLast(Lines).Select(line => $"{process.Name,-9} | {line}"));
    }

    public async ValueTask DisposeAsync()
    {
        // A suspended process would not end in time.
        foreach (var process in Apis.Concat(Workers).Append(RabbitMq).Append(Postgres).OfType<LedgerProcess>())
            process.Resume();
        await Task.WhenAll(_extra.Select(process => process.DisposeAsync().AsTask()));
        await _app.DisposeAsync().AsTask().WaitAsync(s_stopTimeout);
    }

    private async Task OpenAsync(CancellationToken cancellationToken)
    {
        PostgresConnectionString = (await _app.GetConnectionStringAsync(ResourceNames.Database, cancellationToken))!;
        RabbitMqConnectionString = (await _app.GetConnectionStringAsync(ResourceNames.Messaging, cancellationToken))!;
        var resources = _app.Services.GetRequiredService<DistributedApplicationModel>().Resources;
        if (Data is { } data)
        {
            var maintenance = new NpgsqlConnectionStringBuilder(PostgresConnectionString) { Database = "postgres" }.ConnectionString;
            Postgres = new PostgresProcess(_app, Resource(ResourceNames.Postgres), data.In(LocalServers.ClusterName), maintenance);
            RabbitMq = new RabbitMqProcess(_app, Resource(ResourceNames.Messaging), new Uri(RabbitMqConnectionString));
        }
        Apis = Services(ResourceNames.Api);
        Workers = Services(ResourceNames.Worker);

        IResource Resource(string name) => resources.Single(resource => resource.Name == name);

        List<LedgerProcess> Services(string name) => [.. resources.OfType<ProjectResource>()
            .Where(resource => resource.Name == name || resource.Name.StartsWith($"{name}-", StringComparison.Ordinal))
            .Where(resource => !resource.Name.EndsWith("-rebuilder", StringComparison.Ordinal))
            .OrderBy(resource => resource.Name.Length).ThenBy(resource => resource.Name, StringComparer.Ordinal)
            .Select(resource => new ResourceProcess(_app, resource))];
    }

    private async Task<ExtraProcess> AddAsync(string name, string project, (string Option, string Value)[] environment)
    {
        var process = new ExtraProcess(name, project,
        [
            new($"ConnectionStrings__{ResourceNames.Database}", PostgresConnectionString),
            new($"ConnectionStrings__{ResourceNames.Messaging}", RabbitMqConnectionString),
            new("Ledger__Identity__PasswordIterations", CheapPasswords),
            new(Leftovers.Mark, Data?.Root ?? ""),
            .. environment.Select(option => KeyValuePair.Create(option.Option, option.Value)),
        ]);
        lock (_extra)
            _extra.Add(process);
        await process.StartAsync();
        await process.WaitUntilHealthyAsync();
        return process;
    }
}
