using Ledger.Tests.Harness;

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
}
