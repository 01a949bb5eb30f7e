using Ledger.Core.Messaging;
using Ledger.Tests.Harness;
using RabbitMQ.Client;

namespace Ledger.Tests.Faults;

/// <summary>What clients are told while something is away, and what becomes of it afterwards.</summary>
[Collection(nameof(Faults))]
public sealed class OutageTests(FaultSystem system)
{
    [Fact]
    public async Task Without_RabbitMQ_commands_are_recorded_readable_at_once_and_decided_when_it_is_back()
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        (await user.DepositAsync("10.00")).MustBe(201);
        await system.Processes.RabbitMq.KillAsync(restart: false);
        await system.NoticedAsync();

        var withdrawals = new List<Answer>();
        foreach (var prefer in (string?[])[null, "respond-async", "wait=1"])
            withdrawals.Add((await user.WithdrawAsync("4.00", key: $"k{prefer}", prefer: prefer)).MustBe(202));

        foreach (var answer in withdrawals)
        {
            Assert.Equal($"/api/v1/transactions/{answer.TransactionId}", answer.Location);
            Assert.Equal(answer.Text, (await user.At(system.Apis[1]).TransactionAsync(answer.TransactionId)).MustBe(200).Text);
        }
        // The same key stands for the recorded command; what has been decided before can still be read.
        Assert.Equal(withdrawals[0].TransactionId, (await user.WithdrawAsync("4.00", key: "k")).MustBe(202).TransactionId);
        (await user.WithdrawAsync("5.00", key: "k")).MustBe(422, "idempotency_key_reused");
        Assert.Equal(3, (await user.GetAsync("transactions?status=pending")).MustBe(200).Json.GetProperty("items").GetArrayLength());
        Assert.Equal(10, await user.BalanceAsync());

        await system.RecoveredAsync();
        // At once, not only when the relay sees that nothing has become of them: that takes half a minute.
        var decided = new List<string?>();
        foreach (var answer in withdrawals)
            decided.Add((await user.DecidedAsync(answer.TransactionId, TimeSpan.FromSeconds(20)))["status"]);
        Assert.Equal(["posted", "posted", "rejected"], decided.Order());
        Assert.Equal(2, await user.BalanceAsync());
        await Books.NothingPendingAsync(system.Database, FaultSystem.Recovery);
    }

    [Fact]
    public async Task Without_PostgreSQL_nothing_is_promised_and_the_same_key_posts_once_afterwards()
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        (await user.DepositAsync("10.00")).MustBe(201);
        await system.Processes.Postgres.KillAsync(restart: false);
        await system.NoticedAsync();

        foreach (var prefer in (string[])["wait=1", "respond-async"])
            Unavailable(await user.DepositAsync("5.00", key: "k", prefer: prefer));
        Unavailable(await user.GetAsync("balances"));
        Unavailable(await user.GetAsync("balances/USD"));
        Unavailable(await user.GetAsync("transactions"));
        Unavailable(await user.TransactionAsync(Guid.CreateVersion7()));
        Unavailable(await user.GetAsync("identity/me"));
        Unavailable(await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password }));
        Unavailable(await user.Api.PostAsync("identity/register", new { email = $"{Guid.NewGuid():N}@example.com", password = LedgerApi.Password }));
        // The process is alive all the same.
        (await user.Api.GetAsync("/alive")).MustBe(200);
        Assert.Equal(503, (await user.Api.GetAsync("/health")).Status);

        await system.RecoveredAsync();
        (await user.DepositAsync("5.00", key: "k")).MustBe(201);
        await Books.NothingPendingAsync(system.Database, FaultSystem.Recovery);
        Assert.Equal(15, await user.BalanceAsync());

        static void Unavailable(Answer answer)
        {
            answer.MustBe(503, "unavailable");
            Assert.NotNull(answer.Headers.RetryAfter);
        }
    }

    [Fact]
    public async Task Without_a_worker_commands_wait_and_are_decided_when_there_is_one()
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        await Task.WhenAll(system.Processes.Workers.Select(worker => worker.KillAsync(restart: false)));

        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => user.DepositAsync("1.00", key: $"k{i}", prefer: "wait=1")));
        Assert.All(answers, answer => Assert.Equal(("pending", 202), (answer["status"], answer.Status)));

        await system.RecoveredAsync();
        foreach (var answer in answers)
            Assert.Equal("posted", (await user.DecidedAsync(answer.TransactionId, FaultSystem.Recovery))["status"]);
        Assert.Equal(20, await user.BalanceAsync());
        await Books.NothingPendingAsync(system.Database, FaultSystem.Recovery);
    }

    [Fact]
    public async Task A_command_queue_that_somebody_deletes_is_there_again_and_consumed()
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        await using (var connection = await new ConnectionFactory { Uri = new Uri(system.Processes.RabbitMqConnectionString) }.CreateConnectionAsync())
        await using (var channel = await connection.CreateChannelAsync())
            await channel.QueueDeleteAsync(Topology.CommandQueue);

        // Until the queue is back, what clients send is recorded; none of it is lost.
        var answers = new List<Answer>();
        await Eventually.TrueAsync(async () =>
        {
            var answer = await user.DepositAsync("1.00", prefer: "wait=2");
            Assert.True(answer.Status is 201 or 202, answer.Text);
            answers.Add(answer);
            return answer.Status == 201;
        }, FaultSystem.Recovery);
        foreach (var answer in answers)
            Assert.Equal("posted", (await user.DecidedAsync(answer.TransactionId, FaultSystem.Recovery))["status"]);
        Assert.Equal(answers.Count, await user.BalanceAsync());
    }
}
