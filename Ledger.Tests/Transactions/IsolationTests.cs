using Ledger.Tests.Harness;

namespace Ledger.Tests.Transactions;

/// <summary>Users can neither see nor move the money of other users.</summary>
public sealed class IsolationTests(LedgerSystem system)
{
    [Fact]
    public async Task Transaction_of_another_user_is_not_found_like_an_unknown_one()
    {
        var (alice, mallory) = (await system.NewUserAsync(), await system.NewUserAsync());
        var posted = (await alice.DepositAsync("5.00")).MustBe(201).TransactionId;
        var rejected = (await alice.WithdrawAsync("50.00")).MustBe(422, "insufficient_funds").TransactionId;
        var unwaited = (await alice.DepositAsync("5.00", prefer: "respond-async")).TransactionId;

        var nothing = (await mallory.TransactionAsync(Guid.CreateVersion7())).MustBe(404, "not_found");
        foreach (var id in (Guid[])[posted, rejected, unwaited])
            Assert.Equal(nothing["detail"], (await mallory.TransactionAsync(id)).MustBe(404, "not_found")["detail"]);
        Assert.Empty((await mallory.GetAsync("transactions")).MustBe(200).Json.GetProperty("items").EnumerateArray());
        Assert.Empty((await mallory.GetAsync("balances")).MustBe(200).Json.GetProperty("balances").EnumerateArray());
    }

    [Fact]
    public async Task Recipient_sees_the_transfer_without_the_senders_account_and_metadata()
    {
        var (alice, bob) = (await system.NewUserAsync("100.00"), await system.NewUserAsync("1.00"));
        var sent = (await alice.TransferAsync(bob.Email, "30.00", reference: "rent", metadata: new { note = "for the sender's eyes" })).MustBe(201);

        var received = (await bob.TransactionAsync(sent.TransactionId)).MustBe(200);

        Assert.Equal(("transfer", "posted", "30.00", "rent", ""), (received["kind"], received["status"], received["amount"], received["reference"], received["metadata"]));
        var entry = Assert.Single(received.Json.GetProperty("entries").EnumerateArray());
        Assert.Equal(("30.00", "31.00"), (entry.GetProperty("amount").GetString(), entry.GetProperty("balanceAfter").GetString()));
        // Neither the transaction nor the list shows the sender's balance, account, id or metadata.
        var account = sent.Json.GetProperty("entries")[0].GetProperty("accountId").GetString()!;
        foreach (var text in (string[])[received.Text, (await bob.GetAsync("transactions")).MustBe(200).Text])
        {
            Assert.DoesNotContain("70.00", text, StringComparison.Ordinal);
            Assert.DoesNotContain(account, text, StringComparison.Ordinal);
            Assert.DoesNotContain(alice.Id.ToString(), text, StringComparison.Ordinal);
            Assert.DoesNotContain("eyes", text, StringComparison.Ordinal);
        }
        Assert.DoesNotContain("31.00", (await alice.TransactionAsync(sent.TransactionId)).MustBe(200).Text, StringComparison.Ordinal);
        Assert.DoesNotContain("31.00", sent.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Rejected_transfer_is_not_found_by_the_recipient()
    {
        var (alice, bob) = (await system.NewUserAsync("1.00"), await system.NewUserAsync("1.00"));
        var rejected = (await alice.TransferAsync(bob, "30.00")).MustBe(422, "insufficient_funds").TransactionId;

        (await bob.TransactionAsync(rejected)).MustBe(404, "not_found");
        Assert.DoesNotContain(rejected.ToString(), (await bob.GetAsync("transactions")).MustBe(200).Text, StringComparison.Ordinal);
        Assert.DoesNotContain(rejected.ToString(), (await bob.GetAsync("transactions?status=rejected")).MustBe(200).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Fields_that_name_another_users_account_are_refused()
    {
        var (alice, mallory) = (await system.NewUserAsync("10.00"), await system.NewUserAsync());
        foreach (var field in (string[])["from", "ownerId", "owner", "accountId", "userId"])
        {
            (await mallory.PostAsync("transfers", $$"""{"to":"{{mallory.Email}}","currency":"USD","amount":"1.00","{{field}}":"{{alice.Id}}"}""")).MustBe(400, "validation_failed");
            (await mallory.PostAsync("withdrawals", $$"""{"currency":"USD","amount":"1.00","{{field}}":"{{alice.Id}}"}""")).MustBe(400, "validation_failed");
        }
        Assert.Equal((10m, 0m), (await alice.BalanceAsync(), await mallory.BalanceAsync()));
    }
}
