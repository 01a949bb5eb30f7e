using Ledger.Tests.Harness;
using Npgsql;

[assembly: AssemblyFixture(typeof(LedgerSystem))]
[assembly: LogsOfFailures]

namespace Ledger.Tests.Harness;

/// <summary>
/// The whole system, one for the run, started by the first test that asks for it: PostgreSQL, RabbitMQ, APIs and workers.
/// Tests keep apart by fresh users, so that they can run side by side. Tests that break things have one of their own.
/// </summary>
public sealed partial class LedgerSystem : IAsyncDisposable
{
    /// <summary>The fewest rounds that the API takes: fresh users by the hundred must be cheap.</summary>
    public const string CheapPasswords = "1000";

    private readonly Lazy<Task<Running>> _running = new(StartAndWatchAsync);

    /// <summary>The APIs, of which any two accept each other's tokens. With one process behind them all, the same twice.</summary>
    public async Task<IReadOnlyList<LedgerApi>> ApisAsync() => (await _running.Value).Apis;

    /// <summary>The first API.</summary>
    public async Task<LedgerApi> ApiAsync() => (await ApisAsync())[0];

    /// <summary>A user whom nobody else knows, logged in.</summary>
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
    public async Task<string> ConnectionStringAsync() => (await _running.Value).ConnectionString;

    /// <summary>Of a database beside it, with nothing in it, that is the test's own.</summary>
    public async Task<string> FreshDatabaseAsync()
    {
        var name = $"test_{Guid.NewGuid():N}";
        await Books.ExecuteAsync(await DatabaseAsync(), $"create database {name}");
        return new NpgsqlConnectionStringBuilder(await ConnectionStringAsync()) { Database = name, Pooling = false }.ConnectionString;
    }

    /// <summary>SQL of such a database, with the schema in it.</summary>
    internal async Task<NpgsqlDataSource> FreshLedgerAsync()
    {
        var address = await FreshDatabaseAsync();
        var (exitCode, output, errors) = await Tool.RunAsync("ledger", ["migrate"], new Dictionary<string, string?> { ["ConnectionStrings__ledgerdb"] = address });
        Assert.True(exitCode == 0, string.Join('\n', output.Concat(errors)));
        return NpgsqlDataSource.Create(address);
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
    public async Task<Uri> BrokerAsync() => (await _running.Value).Broker;

    /// <summary>Where Prometheus would find the metrics of APIs and workers.</summary>
    public async Task<IReadOnlyList<Uri>> MetricsAsync() => (await _running.Value).Metrics;

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

    private static async Task<Running> StartAndWatchAsync()
    {
        var running = await StartAsync();
        LogsOfFailuresAttribute.Watch("system", running.Logs);
        return running;
    }

    private sealed record Running(
        IAsyncDisposable System, IReadOnlyList<LedgerApi> Apis, IReadOnlyList<Uri> Metrics, string ConnectionString, NpgsqlDataSource Database, Uri Broker,
        Func<IEnumerable<string>> Logs);
}
