using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Faults;

/// <summary>Tests that kill processes: one after the other, when all other tests are done, on a system of their own.</summary>
[CollectionDefinition(nameof(Faults), DisableParallelization = true)]
public sealed class Faults : ICollectionFixture<FaultSystem>;

/// <summary>A system whose processes tests may kill. Whoever breaks it repairs it.</summary>
public sealed class FaultSystem : IAsyncLifetime
{
    /// <summary>How long anything may take until it is well again after a fault.</summary>
    public static readonly TimeSpan Recovery = TimeSpan.FromSeconds(90);

    private RunningSystem? _system;
    private NpgsqlDataSource? _database;

    public RunningSystem Processes => _system!;

    public NpgsqlDataSource Database => _database!;

    /// <summary>Two APIs.</summary>
    public IReadOnlyList<LedgerApi> Apis { get; private set; } = [];

    public async ValueTask InitializeAsync()
    {
        _system = await RunningSystem.StartAsync(apis: 2, workers: 2, native: true);
        LogsOfFailuresAttribute.Watch("system with faults", _system.LastLines);
        _database = NpgsqlDataSource.Create(_system.PostgresConnectionString);
        Apis = [.. _system.Apis.Select(api => new LedgerApi(api.Address!))];
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var api in Apis)
            api.Dispose();
        if (_database is not null)
            await _database.DisposeAsync();
        if (_system is not null)
            await _system.DisposeAsync();
        LogsOfFailuresAttribute.Forget("system with faults");
    }

    /// <summary>Returns when every process is healthy: then the APIs have a way to the workers and both have the database.</summary>
    public async Task RecoveredAsync()
    {
        foreach (var process in (LedgerProcess[])[Processes.Postgres, Processes.RabbitMq, .. Processes.Apis, .. Processes.Workers])
        {
            await process.StartAsync();
            await process.WaitUntilHealthyAsync(Recovery);
        }
        // Pooled connections to a server that was killed are dead.
        Database.Clear();
    }

    /// <summary>Runs <c>rabbitmqctl</c>, as an operator does; returns the lines that it wrote.</summary>
    public Task<IReadOnlyList<string>> ControlRabbitMqAsync(params string[] arguments) => Processes.ControlRabbitMqAsync(arguments);

    /// <summary>Waits until an API says that it is not ready.</summary>
    public async Task NoticedAsync()
    {
        foreach (var api in Processes.Apis)
            await Eventually.TrueAsync(async () => !await api.IsHealthyAsync(), Recovery, () => $"{api.Name} has not noticed.");
    }
}
