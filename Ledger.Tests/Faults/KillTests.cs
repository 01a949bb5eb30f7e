using Ledger.Tests.Harness;
using Ledger.Tests.Messaging;
using Npgsql;

namespace Ledger.Tests.Faults;

/// <summary>kill -9 under load: what was answered 201 is posted once, what was answered 202 is decided, nothing is lost or doubled.</summary>
[Collection(nameof(Faults))]
public sealed class KillTests(FaultSystem system)
{
    private const int Enough = 150;

    [Fact]
    public Task Killing_one_worker_costs_nothing() => KillAsync(() => [system.Processes.Workers[0]]);

    [Fact]
    public Task Killing_all_workers_costs_nothing() => KillAsync(() => [.. system.Processes.Workers]);

    [Fact]
    public Task Killing_an_API_costs_nothing() => KillAsync(() => [system.Processes.Apis[0]]);

    [Fact]
    public Task Killing_RabbitMQ_costs_nothing() => KillAsync(() => [system.Processes.RabbitMq]);

    [Fact]
    public Task Killing_PostgreSQL_costs_nothing() => KillAsync(() => [system.Processes.Postgres]);

    [Fact]
    public Task Killing_everything_at_once_costs_nothing() => KillAsync(() =>
        [system.Processes.Postgres, system.Processes.RabbitMq, .. system.Processes.Apis, .. system.Processes.Workers], times: 1);

    [Fact]
    public async Task Batch_that_waits_for_a_lock_is_rolled_back_when_its_worker_is_killed()
    {
        const string Waiting = "select count(*) from pg_stat_activity where application_name = 'Ledger.Worker' and wait_event_type = 'Lock'";
        await system.RecoveredAsync();
        var market = await Market.OpenAsync(system.Database, users: 1);
        var command = market.Deposit(market.Users[0], 100, key: "k");
        await using (var connection = await system.Database.OpenConnectionAsync())
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            // The last that a batch writes; what it sends with that is its commit.
            await using var gate = new NpgsqlCommand(
                "insert into ledger.idempotency_keys (principal_id, key, request_hash, transaction_id) values ($1, 'k', '\\x0101', $1)", connection)
            {
                Parameters = { new() { Value = market.Users[0] } },
            };
            await gate.ExecuteNonQueryAsync();
            await using (var broker = await Broker.ConnectAsync(new Uri(system.Processes.RabbitMqConnectionString)))
                await broker.PublishAsync(command);
            await Eventually.TrueAsync(async () => await Books.NumberAsync(system.Database, Waiting) == 1);

            await Task.WhenAll(system.Processes.Workers.Select(worker => worker.KillAsync(restart: false)));

            await Eventually.TrueAsync(async () => await Books.NumberAsync(system.Database, Waiting) == 0, otherwise: () => "The batch outlives its worker.");
        }
        Assert.Equal(0, await market.CountAsync("posted"));

        await system.RecoveredAsync();
        await Eventually.TrueAsync(async () => await market.CountAsync("posted") == 1, FaultSystem.Recovery);
        Assert.Equal(100, await market.BalanceAsync(market.Users[0]));
    }

    private async Task KillAsync(Func<LedgerProcess[]> victims, int times = 2)
    {
        await system.RecoveredAsync();
        await using var load = await Load.StartAsync(system);
        for (var i = 0; i < times; i++)
        {
            await load.AnsweredAsync(Enough);
            await Task.WhenAll(victims().Select(victim => victim.KillAsync()));
            await system.RecoveredAsync();
        }
        await load.AnsweredAsync(Enough);
        await load.MustHaveBeenKeptAsync(system.Database);
    }
}
