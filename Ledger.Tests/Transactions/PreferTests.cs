using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Transactions;

/// <summary>The <c>Prefer</c> header (RFC 7240): whether and how long a client waits.</summary>
public sealed class PreferTests(LedgerSystem system)
{
    [Theory]
    [InlineData("respond-async")]
    [InlineData("Respond-Async, return=minimal")]
    [InlineData("wait=0")]
    public async Task Asynchronous_command_is_readable_at_once_and_is_decided(string prefer)
    {
        var user = await system.NewUserAsync();

        // 201 if the worker is faster than the answer.
        var answer = await user.DepositAsync("5.00", prefer: prefer);
        Assert.True(answer.Status is 201 or 202, answer.Text);
        Assert.Equal($"/api/v1/transactions/{answer.TransactionId}", answer.Location);
        if (answer.Status == 202)
            Assert.Equal(("pending", "", 0), (answer["status"], answer["postedAt"], answer.Json.GetProperty("entries").GetArrayLength()));

        Assert.Equal(answer.TransactionId, (await user.Api.GetAsync(answer.Location!, user.Token)).MustBe(200).TransactionId);
        Assert.Contains(answer.TransactionId.ToString(), (await user.GetAsync("transactions")).MustBe(200).Text, StringComparison.Ordinal);
        var decided = await user.DecidedAsync(answer.TransactionId);
        Assert.Equal(("posted", answer["createdAt"]), (decided["status"], decided["createdAt"]));
        Assert.Equal(5, await user.BalanceAsync());
    }

    [Fact]
    public async Task Rejection_of_an_asynchronous_command_is_in_the_transaction()
    {
        var user = await system.NewUserAsync();
        var answer = await user.WithdrawAsync("5.00", prefer: "respond-async");

        Assert.True(answer.Status is 202 or 422, answer.Text);
        var decided = await user.DecidedAsync(answer.TransactionId);

        Assert.Equal(("rejected", "insufficient_funds"), (decided["status"], decided.Json.GetProperty("rejection").GetProperty("code").GetString()));
    }

    [Theory]
    [InlineData("respond-async, wait=30")]
    [InlineData("wait=30, respond-async")]
    [InlineData("wait=30, wait=0")]
    public async Task Command_with_a_wait_is_answered_with_a_soon_outcome(string prefer) =>
        (await (await system.NewUserAsync()).DepositAsync("5.00", prefer: prefer)).MustBe(201);

    [Theory]
    [InlineData("wait=60")]
    [InlineData("wait=3600")]
    [InlineData("wait=99999999999999999999")]
    [InlineData("wait=soon")]
    [InlineData("return=minimal")]
    public async Task Unknown_preference_is_ignored(string prefer) =>
        (await (await system.NewUserAsync()).DepositAsync("5.00", prefer: prefer)).MustBe(201);

    [Fact]
    public async Task Client_that_waits_for_a_locked_account_is_answered_when_its_command_is_posted()
    {
        var database = await system.DatabaseAsync();
        var user = await system.NewUserAsync("1.00");
        Task<Answer> deposit;
        await using (var connection = await database.OpenConnectionAsync(TestContext.Current.CancellationToken))
        await using (var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken))
        {
            await using var take = new NpgsqlCommand("select from ledger.accounts where owner_id = $1 for update", connection) { Parameters = { new() { Value = user.Id } } };
            await take.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
            deposit = user.DepositAsync("1.00", prefer: "wait=60");
            // The worker has left the command to the relay.
            await Eventually.TrueAsync(async () => await Books.NumberAsync(
                database, "select count(*) from ledger.pending_commands where owner_id = $1 and reply_to is not null", user.Id) == 1);
        }

        // Long before the end of its wait.
        (await deposit.WaitAsync(TimeSpan.FromSeconds(40), TestContext.Current.CancellationToken)).MustBe(201);
        Assert.Equal(2, await user.BalanceAsync());
    }
}
