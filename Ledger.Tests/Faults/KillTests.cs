using Ledger.LocalHost.Processes;

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

    private async Task KillAsync(Func<LocalProcess[]> victims, int times = 2)
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
