using Ledger.Tests.Harness;
using Ledger.Tests.Messaging;

namespace Ledger.Tests.Faults;

/// <summary>What is done is acknowledged soon, and at the latest when the worker ends: it does not come back without need.</summary>
[Collection(nameof(Faults))]
public sealed class AcknowledgementTests(FaultSystem system)
{
    [Fact]
    public async Task Messages_acknowledged_before_every_worker_is_killed_do_not_return()
    {
        await using var broker = await DoneAsync(pause: TimeSpan.FromSeconds(1));
        foreach (var worker in system.Processes.Workers)
            await worker.KillAsync(restart: false);
        await NothingCameBackAsync(broker);
    }

    [Fact]
    public async Task Messages_answered_before_every_worker_stops_do_not_return()
    {
        await using var broker = await DoneAsync(pause: TimeSpan.Zero);
        await Task.WhenAll(system.Processes.Workers.Select(worker => worker.TerminateAsync(restart: false)));
        await NothingCameBackAsync(broker);
    }

    // Fewer messages than are acknowledged for their number alone.
    private async Task<Broker> DoneAsync(TimeSpan pause)
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        for (var i = 0; i < 5; i++)
            Assert.Equal(201, (await user.DepositAsync("1.00")).Status);
        await Task.Delay(pause);
        return await Broker.ConnectAsync(new Uri(system.Processes.RabbitMqConnectionString));
    }

    private async Task NothingCameBackAsync(Broker broker)
    {
        var market = await Market.OpenAsync(system.Database, users: 1);
        await broker.PublishAsync(market.Deposit(market.Users[0], 100));
        // The broker notices at once that the workers' connections are gone.
        await Task.Delay(TimeSpan.FromSeconds(1));
        Assert.Equal(1u, await broker.WaitingAsync());
        await system.RecoveredAsync();
    }
}
