using System.Text.RegularExpressions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Transactions;

/// <summary>Requests with an <c>Idempotency-Key</c>.</summary>
public sealed partial class IdempotencyTests(LedgerSystem system)
{
    [Fact]
    public async Task Repeated_request_gets_the_same_answer_and_moves_no_money()
    {
        var user = await system.NewUserAsync();
        var other = user.At((await system.ApisAsync())[1]);

        var first = (await user.PostAsync("deposits", """{"currency":"USD","amount":"5.00","reference":"r","metadata":{"a":"1","b":"2"}}""", key: "k")).MustBe(201);
        // The same fields in another order, with other whitespace, at another API process.
        var again = (await other.PostAsync("deposits", """{ "metadata": {"b":"2", "a":"1"}, "reference":"r", "amount":"5.00", "currency":"USD" }""", key: "k")).MustBe(201);

        Assert.False(first.IsReplay);
        Assert.True(again.IsReplay);
        // Its place in the journal may have come to it meanwhile.
        Assert.Equal(
            (Sequence().Replace(first.Text, ""), first.Location), (Sequence().Replace(again.Text, ""), again.Location));
        Assert.Equal(5, await user.BalanceAsync());
    }

    [Theory]
    [InlineData("deposits", """{"currency":"USD","amount":"5.01","reference":"r"}""")]
    [InlineData("deposits", """{"currency":"EUR","amount":"5.00","reference":"r"}""")]
    [InlineData("deposits", """{"currency":"USD","amount":"5.00","reference":"s"}""")]
    [InlineData("deposits", """{"currency":"USD","amount":"5.00"}""")]
    [InlineData("deposits", """{"currency":"USD","amount":"5.00","reference":"r","metadata":{"a":"1"}}""")]
    [InlineData("withdrawals", """{"currency":"USD","amount":"5.00","reference":"r"}""")]
    public async Task Key_of_another_request_is_refused(string path, string body)
    {
        var user = await system.NewUserAsync();
        (await user.PostAsync("deposits", """{"currency":"USD","amount":"5.00","reference":"r"}""", key: "k")).MustBe(201);

        (await user.PostAsync(path, body, key: "k")).MustBe(422, "idempotency_key_reused");
        (await user.PostAsync(path, body, key: "k", prefer: "respond-async")).MustBe(422, "idempotency_key_reused");

        Assert.Equal(5, await user.BalanceAsync());
    }

    [Fact]
    public async Task Same_meaning_in_other_words_is_the_same_request()
    {
        var (alice, bob) = (await system.NewUserAsync("10.00"), await system.NewUserAsync());

        var first = (await alice.TransferAsync(bob.Email, "1.00", key: "k")).MustBe(201);
        Answer[] again =
        [
            await alice.TransferAsync(bob.Email.ToUpperInvariant(), "1.00", key: "k"),
            await alice.TransferAsync(bob.Id.ToString(), "1.00", key: "k"),
            await alice.TransferAsync(bob.Email, "1.00", key: "k", metadata: new { }),
        ];

        Assert.All(again, answer => Assert.Equal((true, first.TransactionId), (answer.MustBe(201).IsReplay, answer.TransactionId)));
        Assert.Equal((9, 1), (await alice.BalanceAsync(), await bob.BalanceAsync()));
    }

    [GeneratedRegex("\"sequence\":(null|[0-9]+),")]
    private static partial Regex Sequence();

    [Fact]
    public async Task Keys_belong_to_the_caller()
    {
        var (alice, bob) = (await system.NewUserAsync(), await system.NewUserAsync());

        var hers = (await alice.DepositAsync("5.00", key: "same")).MustBe(201);
        var his = (await bob.DepositAsync("7.00", key: "same")).MustBe(201);

        Assert.False(his.IsReplay);
        Assert.NotEqual(hers.TransactionId, his.TransactionId);
        Assert.Equal((5m, 7m), (await alice.BalanceAsync(), await bob.BalanceAsync()));
    }

    [Fact]
    public async Task Rejection_is_replayed_after_a_later_deposit()
    {
        var user = await system.NewUserAsync("1.00");
        var first = (await user.WithdrawAsync("5.00", key: "k")).MustBe(422, "insufficient_funds");
        (await user.DepositAsync("100.00")).MustBe(201);

        var again = (await user.WithdrawAsync("5.00", key: "k")).MustBe(422, "insufficient_funds");

        Assert.True(again.IsReplay);
        Assert.Equal((first.TransactionId, "1.00", "5.00"), (again.TransactionId, again["available"], again["required"]));
        Assert.Equal(101, await user.BalanceAsync());
    }

    [Fact]
    public async Task Transfer_to_an_unknown_user_stays_rejected_for_its_key_after_the_registration()
    {
        var user = await system.NewUserAsync("5.00");
        var email = $"{Guid.NewGuid():N}@example.com";
        (await user.TransferAsync(email, "1.00", key: "k")).MustBe(422, "recipient_unknown");
        (await user.Api.PostAsync("identity/register", new { email, password = LedgerApi.Password })).MustBe(201);

        Assert.True((await user.TransferAsync(email, "1.00", key: "k")).MustBe(422, "recipient_unknown").IsReplay);
        (await user.TransferAsync(email, "1.00", key: "another")).MustBe(201);
    }

    [Fact]
    public async Task Requests_without_a_key_are_independent()
    {
        var user = await system.NewUserAsync();
        (await user.DepositAsync("1.00")).MustBe(201);
        (await user.DepositAsync("1.00")).MustBe(201);
        Assert.Equal(2, await user.BalanceAsync());
    }

    [Fact]
    public async Task Refused_request_does_not_use_its_key()
    {
        var user = await system.NewUserAsync();
        (await user.DepositAsync("1.001", key: "k")).MustBe(400, "amount_precision");
        Assert.False((await user.DepositAsync("1.00", key: "k")).MustBe(201).IsReplay);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(255)]
    public async Task Key_of_up_to_255_characters_is_accepted(int length)
    {
        var user = await system.NewUserAsync();
        var key = new string('k', length);
        (await user.DepositAsync("1.00", key: key)).MustBe(201);
        Assert.True((await user.DepositAsync("1.00", key: key)).MustBe(201).IsReplay);
    }

    [Theory]
    [InlineData("")]
    [InlineData("a\tb")]
    [InlineData(256)]
    public async Task Invalid_key_is_refused(object key)
    {
        var user = await system.NewUserAsync();
        var answer = (await user.DepositAsync("1.00", key: key as string ?? new string('k', (int)key))).MustBe(400, "validation_failed");
        Assert.True(answer.Json.GetProperty("errors").TryGetProperty("Idempotency-Key", out _), answer.Text);
        Assert.Equal(0, await Books.RowsOfAsync(await system.DatabaseAsync(), user.Id));
    }

    [Fact]
    public async Task Asynchronous_request_is_replayed()
    {
        var user = await system.NewUserAsync();

        var first = await user.DepositAsync("5.00", key: "k", prefer: "respond-async");
        var again = await user.DepositAsync("5.00", key: "k", prefer: "respond-async");
        await user.DecidedAsync(first.TransactionId);
        var later = (await user.DepositAsync("5.00", key: "k")).MustBe(201);

        Assert.All((Answer[])[first, again], answer => Assert.True(answer.Status is 201 or 202, answer.Text));
        Assert.Equal((first.TransactionId, first.TransactionId), (again.TransactionId, later.TransactionId));
        Assert.True(again.IsReplay && later.IsReplay);
        Assert.Equal(5, await user.BalanceAsync());
    }
}
