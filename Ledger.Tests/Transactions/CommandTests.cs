using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Transactions;

/// <summary>Posted and rejected deposits, withdrawals and transfers.</summary>
public sealed class CommandTests(LedgerSystem system)
{
    [Fact]
    public async Task Deposit_is_posted_with_its_entry_and_raises_the_balance()
    {
        var user = await system.NewUserAsync();

        var deposit = (await user.DepositAsync("12.34", reference: "salary", metadata: new { source = "bank" })).MustBe(201);

        Assert.Equal($"/api/v1/transactions/{deposit.TransactionId}", deposit.Location);
        Assert.Equal(7, deposit.TransactionId.Version);
        Assert.Equal(
            ("deposit", "posted", "USD", "12.34", "salary"),
            (deposit["kind"], deposit["status"], deposit["currency"], deposit["amount"], deposit["reference"]));
        Assert.Equal("""{"source":"bank"}""", deposit["metadata"]);
        Assert.Equal(("USD", "12.34", "12.34"), EntryOf(deposit));
        Assert.Equal(12.34m, await user.BalanceAsync());
    }

    [Fact]
    public async Task Withdrawal_is_posted_with_its_entry_and_lowers_the_balance()
    {
        var user = await system.NewUserAsync("10.00");

        var withdrawal = (await user.WithdrawAsync("10.00")).MustBe(201);

        Assert.Equal(("withdrawal", "posted"), (withdrawal["kind"], withdrawal["status"]));
        Assert.Equal(("USD", "-10.00", "0.00"), EntryOf(withdrawal));
        Assert.Equal(0, await user.BalanceAsync());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Transfer_moves_money_to_a_user_by_id_or_email(bool byAddress)
    {
        var (alice, bob) = (await system.NewUserAsync("10.00"), await system.NewUserAsync());

        var transfer = (await alice.TransferAsync(byAddress ? bob.Email.ToUpperInvariant() : bob.Id.ToString(), "2.50")).MustBe(201);

        Assert.Equal(("transfer", "posted"), (transfer["kind"], transfer["status"]));
        Assert.Equal(("USD", "-2.50", "7.50"), EntryOf(transfer));
        Assert.Equal((7.50m, 2.50m), (await alice.BalanceAsync(), await bob.BalanceAsync()));
    }

    [Theory]
    [InlineData("deposits")]
    [InlineData("withdrawals")]
    [InlineData("transfers")]
    public async Task Posted_transaction_is_read_as_it_was_answered(string path)
    {
        var (alice, bob) = (await system.NewUserAsync("10.00"), await system.NewUserAsync());

        var answer = (await alice.PostAsync(path, path == "transfers"
            ? new { to = bob.Email, currency = "USD", amount = "1.00", reference = "Zürich ☃ 😀", metadata = new { z = "1", a = "\"quoted\"" } }
            : new { currency = "USD", amount = "1.00", reference = "Zürich ☃ 😀", metadata = new { z = "1", a = "\"quoted\"" } })).MustBe(201);

        var apis = await system.ApisAsync();
        Assert.Equal(WithoutSequence(answer), WithoutSequence(await alice.TransactionAsync(answer.TransactionId)));
        Assert.Equal(WithoutSequence(answer), WithoutSequence(await apis[1].GetAsync(answer.Location!, alice.Token)));

        // Its place in the journal, which it gets in a moment.
        static string WithoutSequence(Answer answer) =>
            string.Join(' ', answer.Json.EnumerateObject().Where(field => field.Name != "sequence").Select(field => field.Value.GetRawText()));
    }

    [Fact]
    public async Task Withdrawal_above_the_available_balance_is_rejected_and_changes_nothing()
    {
        var user = await system.NewUserAsync("10.00");

        var rejection = (await user.WithdrawAsync("10.01")).MustBe(422, "insufficient_funds");

        Assert.Equal(("USD", "10.00", "10.01"), (rejection["currency"], rejection["available"], rejection["required"]));
        Assert.Equal(10, await user.BalanceAsync());
        var stored = (await user.TransactionAsync(rejection.TransactionId)).MustBe(200);
        Assert.Equal(("rejected", ""), (stored["status"], stored["postedAt"]));
        Assert.Equal(("insufficient_funds", "10.00"), (stored.Json.GetProperty("rejection").GetProperty("code").GetString(), stored.Json.GetProperty("rejection").GetProperty("available").GetString()));
        Assert.Empty(stored.Json.GetProperty("entries").EnumerateArray());
    }

    [Fact]
    public async Task Withdrawal_without_an_account_is_rejected()
    {
        var user = await system.NewUserAsync();
        Assert.Equal("0.00", (await user.WithdrawAsync("0.01")).MustBe(422, "insufficient_funds")["available"]);
        // Balances in other currencies do not count.
        (await user.DepositAsync("100.00", "EUR")).MustBe(201);
        (await user.WithdrawAsync("0.01")).MustBe(422, "insufficient_funds");
    }

    [Fact]
    public async Task Transfer_above_the_available_balance_is_rejected()
    {
        var (alice, bob) = (await system.NewUserAsync("1.00"), await system.NewUserAsync());
        (await alice.TransferAsync(bob, "1.01")).MustBe(422, "insufficient_funds");
        Assert.Equal((1m, 0m), (await alice.BalanceAsync(), await bob.BalanceAsync()));
    }

    [Theory]
    [InlineData("nobody-of-that-name@example.com")]
    [InlineData("01900000-0000-7000-8000-000000000001")]
    public async Task Transfer_to_an_unknown_user_is_rejected(string to)
    {
        var user = await system.NewUserAsync("1.00");
        var rejection = (await user.TransferAsync(to, "1.00")).MustBe(422, "recipient_unknown");
        Assert.Equal("rejected", (await user.TransactionAsync(rejection.TransactionId)).MustBe(200)["status"]);
        Assert.Equal(1, await user.BalanceAsync());
    }

    [Fact]
    public async Task Deposit_in_a_disabled_currency_is_rejected()
    {
        var user = await system.NewUserAsync();
        var rejection = (await user.DepositAsync("1.00", "CHF")).MustBe(422, "currency_disabled");
        Assert.Equal("rejected", (await user.TransactionAsync(rejection.TransactionId)).MustBe(200)["status"]);
    }

    [Fact]
    public async Task Commands_on_a_frozen_account_are_rejected()
    {
        var (alice, bob) = (await system.NewUserAsync("5.00"), await system.NewUserAsync("5.00"));
        await Books.ExecuteAsync(await system.DatabaseAsync(), "update ledger.accounts set status = 'frozen' where owner_id = $1", alice.Id);

        (await alice.DepositAsync("1.00")).MustBe(422, "account_frozen");
        (await alice.WithdrawAsync("1.00")).MustBe(422, "account_frozen");
        (await alice.TransferAsync(bob, "1.00")).MustBe(422, "account_frozen");
        (await bob.TransferAsync(alice, "1.00")).MustBe(422, "account_frozen");
        Assert.Equal((5m, 5m), (await alice.BalanceAsync(), await bob.BalanceAsync()));
    }

    [Fact]
    public async Task Deposit_that_overflows_the_balance_is_rejected()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 0);
        var user = await system.NewUserAsync();
        var key = (await system.NewServiceAsync(Scopes.Transactions)).Key;
        await Eventually.TrueAsync(async () => (await DepositAsync()).Status == 201);
        for (var i = 0; i < 3; i++)
            (await DepositAsync()).MustBe(201);

        (await DepositAsync()).MustBe(422, "balance_overflow");

        Assert.Equal(39999999999999999.96m, await user.BalanceAsync(market.Currency));

        Task<Answer> DepositAsync() => user.Api.PostAsync("deposits", new { currency = market.Currency, amount = "9999999999999999.99", onBehalfOf = user.Id }, key);
    }

    [Theory]
    [InlineData("USD", "1000000.00", "1000000.01")]
    [InlineData("JPY", "1000000", "1000001")]
    public async Task User_deposits_no_more_for_itself_than_the_limit(string currency, string most, string tooMuch)
    {
        var (user, key) = (await system.NewUserAsync(), (await system.NewServiceAsync(Scopes.Transactions)).Key);

        (await user.DepositAsync(most, currency)).MustBe(201);
        var refused = (await user.DepositAsync(tooMuch, currency)).MustBe(400, "validation_failed");
        (await user.Api.PostAsync("deposits", new { currency, amount = tooMuch, onBehalfOf = user.Id }, key)).MustBe(201);

        Assert.Equal($"\"{tooMuch}\" is out of range. Users deposit at most 1000000 {currency} for themselves.", refused.Json.GetProperty("errors").GetProperty("amount")[0].GetString());
    }

    private static (string?, string?, string?) EntryOf(Answer transaction)
    {
        var entry = Assert.Single(transaction.Json.GetProperty("entries").EnumerateArray());
        return (entry.GetProperty("currency").GetString(), entry.GetProperty("amount").GetString(), entry.GetProperty("balanceAfter").GetString());
    }
}
