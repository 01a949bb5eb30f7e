using Ledger.Tests.Harness;
using Npgsql;

[assembly: AssemblyFixture(typeof(LedgerSystem))]
[assembly: LogsOfFailures]

namespace Ledger.Tests.Harness;

/// <summary>
/// The whole system, one for the run, started by the first test that asks for it: PostgreSQL, RabbitMQ, APIs and workers.
/// Tests keep apart by fresh users, so that they can run side by side. Tests that break things have one of their own.
/// </summary>
public sealed class LedgerSystem : IAsyncDisposable
{
    private readonly Lazy<Task<Running>> _running = new(StartAsync);

    /// <summary>Two APIs, which accept each other's tokens.</summary>
    public async Task<IReadOnlyList<LedgerApi>> ApisAsync() => (await _running.Value).Apis;

    /// <summary>The first API.</summary>
    public async Task<LedgerApi> ApiAsync() => (await ApisAsync())[0];

    /// <summary>A fresh user, logged in.</summary>
    public async Task<LedgerUser> NewUserAsync() => await (await ApiAsync()).NewUserAsync();

    /// <summary>A user with money.</summary>
    public async Task<LedgerUser> NewUserAsync(string amount, string currency = "USD")
    {
        var user = await NewUserAsync();
        (await user.DepositAsync(amount, currency)).MustBe(201);
        return user;
    }

    /// <summary>SQL, as the database's owner.</summary>
    public async Task<NpgsqlDataSource> DatabaseAsync() => (await _running.Value).Database;

    /// <summary>Of <see cref="DatabaseAsync"/>, with its password.</summary>
    public async Task<string> ConnectionStringAsync() => (await _running.Value).System.PostgresConnectionString;

    /// <summary>Of a database beside it, with nothing in it, that is the test's own.</summary>
    public async Task<string> FreshDatabaseAsync()
    {
        var name = $"test_{Guid.NewGuid():N}";
        await Books.ExecuteAsync(await DatabaseAsync(), $"create database {name}");
        return new NpgsqlConnectionStringBuilder(await ConnectionStringAsync()) { Database = name, Pooling = false }.ConnectionString;
    }

    /// <summary>SQL of such a database, with the schema in it.</summary>
    /// <param name="role">One of <see cref="Ledger.Core.Persistence.DatabaseRoles"/>; null for the owner.</param>
    internal async Task<NpgsqlDataSource> FreshLedgerAsync(string? role = null)
    {
        var address = await FreshDatabaseAsync();
        var (exitCode, output, errors) = await Tool.RunAsync("ledger", ["migrate"], new Dictionary<string, string?> { ["ConnectionStrings__ledgerdb"] = address });
        Assert.True(exitCode == 0, string.Join('\n', output.Concat(errors)));
        return NpgsqlDataSource.Create(role is null ? address : new NpgsqlConnectionStringBuilder(address) { Options = $"-c role={role}" }.ConnectionString);
    }

    /// <summary>SQL, as one of <see cref="Ledger.Core.Persistence.DatabaseRoles"/>.</summary>
    public async Task<NpgsqlDataSource> RoleAsync(string role, int maxPoolSize = 5) => NpgsqlDataSource.Create(
        new NpgsqlConnectionStringBuilder(await ConnectionStringAsync())
        {
            Options = $"-c role={role}",
            NoResetOnClose = true,
            MaxPoolSize = maxPoolSize,
        });

    /// <summary>AMQP.</summary>
    public async Task<Uri> BrokerAsync() => new((await _running.Value).System.RabbitMqConnectionString);

    /// <summary>Where Prometheus finds the metrics of the two APIs and the two workers.</summary>
    public async Task<IReadOnlyList<Uri>> MetricsAsync() => (await _running.Value).Metrics;

    /// <summary>One more API of the same system, with options of its own. The process ends when the test disposes of the client.</summary>
    internal async Task<LedgerApi> StartApiAsync(params (string Option, string Value)[] environment)
    {
        var process = await StartApiProcessAsync(environment);
        return new LedgerApi(process.Address!, (IDisposable)process);
    }

    /// <summary>The same, for a test that needs the process itself.</summary>
    internal async Task<LedgerProcess> StartApiProcessAsync(params (string Option, string Value)[] environment) =>
        await (await _running.Value).System.AddApiAsync(environment);

    /// <summary>One more worker of the same system, with options of its own. It ends with the system, unless the test stops it.</summary>
    internal async Task<LedgerProcess> StartWorkerProcessAsync(params (string Option, string Value)[] environment) =>
        await (await _running.Value).System.AddWorkerAsync(environment);

    /// <summary>Runs <c>rabbitmqctl</c>, as an operator does.</summary>
    internal async Task ControlRabbitMqAsync(params string[] arguments) => await (await _running.Value).System.ControlRabbitMqAsync(arguments);

    /// <summary>Where the system keeps its data.</summary>
    internal async Task<string> DataDirectoryAsync() => (await _running.Value).System.DataDirectory;

    /// <summary>Runs the <c>ledger</c> tool against the system; returns what it wrote to both outputs.</summary>
    internal async Task<(int ExitCode, IReadOnlyList<string> Output)> CliAsync(params string[] arguments)
    {
        var (exitCode, output, errors) = await (await _running.Value).System.RunCliAsync(arguments);
        return (exitCode, [.. output, .. errors]);
    }

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        if (!_running.IsValueCreated)
            return;
        // One that did not start has failed its tests already.
        if (await _running.Value.ContinueWith(start => start.IsCompletedSuccessfully ? start.Result : null, TaskScheduler.Default) is not { } running)
            return;
        foreach (var api in running.Apis)
            api.Dispose();
        await running.Database.DisposeAsync();
        await running.System.DisposeAsync();
    }

    private static async Task<Running> StartAsync()
    {
        var system = await RunningSystem.StartAsync(apis: 2, workers: 2);
        LogsOfFailuresAttribute.Watch("system", system.LastLines);
        return new Running(
            system,
            [.. system.Apis.Select(api => new LedgerApi(api.Address!))],
            [.. system.Apis.Concat(system.Workers).Select(service => service.Metrics!)],
            NpgsqlDataSource.Create(system.PostgresConnectionString));
    }

    private sealed record Running(RunningSystem System, IReadOnlyList<LedgerApi> Apis, IReadOnlyList<Uri> Metrics, NpgsqlDataSource Database);
}
