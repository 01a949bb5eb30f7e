using Ledger.Tests.Harness;

namespace Ledger.Tests.Faults;

/// <summary>SIGTERM under load: what is under way is finished or given back, soon.</summary>
[Collection(nameof(Faults))]
public sealed class ShutdownTests(FaultSystem system)
{
    // Five seconds, and a margin for a machine that is busy with the load itself.
    private static readonly TimeSpan Promised = TimeSpan.FromSeconds(5 + 2);

    [Fact]
    public async Task Stopping_worker_ends_in_time_and_no_client_gets_an_error()
    {
        await system.RecoveredAsync();
        await using var load = await Load.StartAsync(system);
        await load.AnsweredAsync(100);

        Ended(await system.Processes.Workers[0].TerminateAsync(restart: false));
        await load.AnsweredAsync(100);
        await system.RecoveredAsync();
        Ended(await system.Processes.Workers[1].TerminateAsync(restart: false));
        await load.AnsweredAsync(100);

        await load.MustHaveBeenKeptAsync(system.Database);
        Assert.Empty(load.Disturbances);
        await system.RecoveredAsync();
    }

    [Fact]
    public async Task Stopping_API_answers_its_accepted_requests()
    {
        await system.RecoveredAsync();
        await using var load = await Load.StartAsync(system);
        await load.AnsweredAsync(100);

        Ended(await system.Processes.Apis[0].TerminateAsync(restart: false));
        await load.AnsweredAsync(100);

        await load.MustHaveBeenKeptAsync(system.Database);
        // Connections that are refused or closed before a request was taken; no 5xx, and no answer that was cut off.
        Assert.DoesNotContain(load.Disturbances, disturbance => disturbance.StartsWith('5'));
        await system.RecoveredAsync();
    }

    private static void Ended(ProcessExit exit)
    {
        Assert.False(exit.Killed, $"It had to be killed after {exit.Took.TotalSeconds:0.0} s.");
        Assert.Equal(0, exit.Code);
        Assert.InRange(exit.Took, TimeSpan.Zero, Promised);
    }
}
