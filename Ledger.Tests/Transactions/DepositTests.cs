using Ledger.Tests.Harness;

namespace Ledger.Tests.Transactions;

public sealed class DepositTests(LedgerSystem system)
{
    [Fact]
    public async Task A_deposit_is_posted_with_its_entry_and_raises_the_balance()
    {
        var user = await system.NewUserAsync();

        var deposit = (await user.DepositAsync("12.34", reference: "salary", metadata: new { source = "bank" })).MustBe(201);

        Assert.Equal($"/api/v1/transactions/{deposit.TransactionId}", deposit.Location);
        Assert.Equal(("deposit", "posted", "USD", "12.34", "salary"), (deposit["kind"], deposit["status"], deposit["currency"], deposit["amount"], deposit["reference"]));
        Assert.Equal("bank", deposit.Json.GetProperty("metadata").GetProperty("source").GetString());
        var entry = Assert.Single(deposit.Json.GetProperty("entries").EnumerateArray());
        Assert.Equal(("USD", "12.34", "12.34"), (entry.GetProperty("currency").GetString(), entry.GetProperty("amount").GetString(), entry.GetProperty("balanceAfter").GetString()));
        Assert.Equal(12.34m, await user.BalanceAsync());
    }
}
