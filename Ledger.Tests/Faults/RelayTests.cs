using System.Text.Json;
using Ledger.Tests.Harness;
using Ledger.Tests.Messaging;

namespace Ledger.Tests.Faults;

/// <summary>The relay adds to no backlog.</summary>
[Collection(nameof(Faults))]
public sealed class RelayTests(FaultSystem system)
{
    private const int Commands = 200;

    // While messages wait, the relay publishes nothing. Without that rule it published some commands five times.
    private const int MostRelays = 4;

    [Fact]
    public async Task Commands_that_wait_for_a_lock_are_published_again_a_few_times_and_announced_about_once()
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        (await user.DepositAsync("1.00")).MustBe(201);
        // Both workers publish commands again after a second instead of half a minute.
        foreach (var worker in system.Processes.Workers)
            await worker.KillAsync(restart: false);
        var impatient = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => system.Processes.AddWorkerAsync(("Ledger__Worker__RelayAgainSeconds", "1"))));
        await using var broker = await Broker.ConnectAsync(new Uri(system.Processes.RabbitMqConnectionString));
        var events = await broker.ListenAsync("transaction.posted.USD");
        try
        {
            long most;
            await using (var other = await system.Database.OpenConnectionAsync())
            await using (await other.BeginTransactionAsync())
            {
                await using (var hold = new Npgsql.NpgsqlCommand("select from ledger.accounts where owner_id = $1 for update", other) { Parameters = { new() { Value = user.Id } } })
                    await hold.ExecuteNonQueryAsync();
                var begun = TimeProvider.System.GetTimestamp();
                foreach (var answers in Enumerable.Range(0, Commands).Chunk(20))
                    await Task.WhenAll(answers.Select(async _ => (await user.DepositAsync("1.00", prefer: "respond-async")).MustBe(202)));
                // Until every command has been published again.
                await Eventually.TrueAsync(
                    async () => await RelaysAsync("min") >= 1 && await RelaysAsync("max") >= 2, FaultSystem.Recovery, () => "The relay publishes nothing again.");
                most = await RelaysAsync("max");
                var held = TimeProvider.System.GetElapsedTime(begun);
                TestContext.Current.SendDiagnosticMessage($"Locked for {held.TotalSeconds:0.0} s: each command was published again {await RelaysAsync("min")} to {most} times");
                Assert.InRange(most, 2, MostRelays);
            }
            await Books.NothingPendingAsync(system.Database, FaultSystem.Recovery);
            await Eventually.TrueAsync(() => Task.FromResult(Announced().Distinct().Count() >= Commands));
            // What is still in the queue is announced before this.
            var last = (await user.DepositAsync("1.00", prefer: "wait=30")).MustBe(201).TransactionId;
            await Eventually.TrueAsync(() => Task.FromResult(Announced().Contains(last)));
            var perCommand = Announced().Where(id => id != last).GroupBy(id => id).Select(copies => copies.Count()).ToArray();
            TestContext.Current.SendDiagnosticMessage($"{perCommand.Sum()} events of {perCommand.Length} commands, at most {perCommand.Max()} of one");
            Assert.True(perCommand.Sum() <= Commands * 1.5 && perCommand.Max() <= 3, $"{perCommand.Sum()} events of {perCommand.Length} commands, {perCommand.Max()} of one.");
            Assert.Equal(2 + Commands, await user.BalanceAsync());
        }
        finally
        {
            foreach (var worker in impatient)
                await system.Processes.RemoveWorkerAsync(worker);
        }
        await system.RecoveredAsync();

        Task<long> RelaysAsync(string which) => Books.NumberAsync(system.Database, $"select coalesce({which}(relays), 0) from ledger.pending_commands where owner_id = $1", user.Id);

        IEnumerable<Guid> Announced() => events.SelectMany(message => JsonElement.Parse(message.Text).EnumerateArray())
            .Where(item => item.GetProperty("data").GetProperty("ownerId").GetGuid() == user.Id).Select(item => item.GetProperty("id").GetGuid());
    }
}
