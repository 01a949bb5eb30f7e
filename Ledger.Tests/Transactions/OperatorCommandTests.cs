using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Transactions;

/// <summary>Journals, exchanges, reversals and times of effect over HTTP.</summary>
public sealed class OperatorCommandTests(LedgerSystem system)
{
    [Fact]
    public async Task Journal_splits_a_payment_and_each_user_sees_its_own_entries()
    {
        var (op, buyer, seller) = (await system.NewOperatorAsync(), await system.NewUserAsync("100.00"), await system.NewUserAsync());
        var fees = await NewHouseAccountAsync(op);
        object[] postings =
        [
            new { from = $"user:{buyer.Email}", to = $"user:{seller.Id}", currency = "USD", amount = "97.00" },
            new { from = $"user:{buyer.Id}", to = $"house:{fees}", currency = "USD", amount = "3.00" },
        ];

        var answer = (await op.PostAsync("transactions", new { postings, reference = "Order", metadata = new { order = "7" } }, key: "j")).MustBe(201);

        Assert.Equal(("journal", "posted", "USD", "100.00"), (answer["kind"], answer["status"], answer["currency"], answer["amount"]));
        Assert.Equal(4, answer.Json.GetProperty("entries").GetArrayLength());
        Assert.Equal($"/api/v1/transactions/{answer.TransactionId}", answer.Location);
        Assert.Equal((0m, 97m), (await buyer.BalanceAsync(), await seller.BalanceAsync()));
        Assert.Equal((4, 2, 1), (await EntriesAsync(op), await EntriesAsync(buyer), await EntriesAsync(seller)));
        Assert.Equal(answer.TransactionId, (await op.PostAsync("transactions", new { postings, reference = "Order", metadata = new { order = "7" } }, key: "j")).MustBe(201).TransactionId);
        (await op.PostAsync("transactions", new { postings = postings[..1], reference = "Order", metadata = new { order = "7" } }, key: "j")).MustBe(422, "idempotency_key_reused");
        var accepted = (await op.PostAsync("transactions", new { postings = postings[..1] }, prefer: "respond-async")).MustBe(202);
        Assert.Equal("insufficient_funds", (await op.DecidedAsync(accepted.TransactionId)).Json.GetProperty("rejection").GetProperty("code").GetString());

        async Task<int> EntriesAsync(LedgerUser user) => (await user.TransactionAsync(answer.TransactionId)).MustBe(200).Json.GetProperty("entries").GetArrayLength();
    }

    [Fact]
    public async Task Rejected_journal_names_the_posting_and_its_currency_now_and_later()
    {
        var (op, user) = (await system.NewOperatorAsync(), await system.NewUserAsync("100.00"));
        var body = new
        {
            postings = new[]
            {
                new { from = $"user:{user.Id}", to = "world", currency = "USD", amount = "1.00" },
                new { from = $"user:{user.Id}", to = "world", currency = "JPY", amount = "7" },
            },
        };

        foreach (var answer in new[] { await op.PostAsync("transactions", body, key: "k"), await op.PostAsync("transactions", body, key: "k") })
        {
            answer.MustBe(422, "insufficient_funds");
            Assert.Equal(("1", "JPY", "0", "7"), (answer["index"], answer["currency"], answer["available"], answer["required"]));
        }
        Assert.Equal(100m, await user.BalanceAsync());
    }

    [Theory]
    [InlineData("""{"postings":[]}""", 400, "validation_failed")]
    [InlineData("""{}""", 400, "validation_failed")]
    [InlineData("""{"postings":[null]}""", 400, "validation_failed")]
    [InlineData("""{"postings":[{"from":"world","to":"world","currency":"USD","amount":"1.00"}]}""", 400, "validation_failed")]
    [InlineData("""{"postings":[{"from":"user:","to":"world","currency":"USD","amount":"1.00"}]}""", 400, "validation_failed")]
    [InlineData("""{"postings":[{"from":"user:no-such-external-id","to":"world","currency":"USD","amount":"1.00"}]}""", 422, "recipient_unknown")]
    [InlineData("""{"postings":[{"from":"bank","to":"world","currency":"USD","amount":"1.00"}]}""", 400, "validation_failed")]
    [InlineData("""{"postings":[{"from":"house:x","to":"world","currency":"USD","amount":"0"}]}""", 400, "validation_failed")]
    [InlineData("""{"postings":[{"from":"house:x","to":"world","currency":"USD","amount":"1.001"}]}""", 400, "amount_precision")]
    [InlineData("""{"postings":[{"from":"house:x","to":"world","currency":"USD","amount":"1.00"}],"effectiveAt":"2999-01-01T00:00:00Z"}""", 400, "validation_failed")]
    [InlineData("""{"postings":[{"from":"house:x","to":"world","currency":"USD","amount":"1.00"}],"effectiveAt":"yesterday"}""", 400, "validation_failed")]
    [InlineData("""{"postings":[{"from":"house:x","to":"world","currency":"NOSUCH","amount":"1.00"}]}""", 422, "currency_unknown")]
    [InlineData("""{"postings":[{"from":"house:no-such","to":"world","currency":"USD","amount":"1.00"}]}""", 422, "account_unknown")]
    [InlineData("""{"postings":[{"from":"user:unknown@example.com","to":"world","currency":"USD","amount":"1.00"}]}""", 422, "recipient_unknown")]
    public async Task Journal_that_makes_no_sense_is_refused(string body, int status, string code)
    {
        var answer = (await (await system.NewOperatorAsync()).PostAsync("transactions", body)).MustBe(status, code);
        if (status == 422)
            Assert.Equal("0", answer["index"]);
    }

    [Fact]
    public async Task Exchange_sells_one_currency_and_buys_another_at_the_rate_of_its_amounts()
    {
        var (op, user) = (await system.NewOperatorAsync(), await system.NewUserAsync("100.00"));

        var answer = (await op.PostAsync("exchanges", new
        {
            sell = new { currency = "USD", amount = "100.00" },
            buy = new { currency = "JPY", amount = "14999" },
            onBehalfOf = user.Email,
        })).MustBe(201);

        Assert.Equal(("exchange", "USD", "100.00", 2), (answer["kind"], answer["currency"], answer["amount"], answer.Json.GetProperty("entries").GetArrayLength()));
        Assert.Equal((0m, 14999m), (await user.BalanceAsync(), await user.BalanceAsync("JPY")));
        Assert.Equal("149.99", Assert.Single(await Books.TextsAsync(
            await system.DatabaseAsync(), "select details ->> 'rate' from ledger.transactions where id = $1", answer.TransactionId)));
        Assert.Contains("JPY", (await op.GetAsync("admin/exchange")).MustBe(200).Text, StringComparison.Ordinal);
        (await op.PostAsync("exchanges", new { sell = new { currency = "USD", amount = "1.00" }, buy = new { currency = "USD", amount = "1.00" } })).MustBe(400, "validation_failed");
        var tooMuch = (await op.PostAsync("exchanges", new
        {
            sell = new { currency = "JPY", amount = "15000" },
            buy = new { currency = "USD", amount = "1.00" },
            onBehalfOf = user.Id,
        })).MustBe(422, "insufficient_funds");
        Assert.Equal(("JPY", "14999", "15000"), (tooMuch["currency"], tooMuch["available"], tooMuch["required"]));
        // Its owner sees it too.
        Assert.Equal("exchange", (await user.TransactionAsync(answer.TransactionId)).MustBe(200)["kind"]);
    }

    [Fact]
    public async Task Service_account_posts_journals_exchanges_and_reversals_and_names_users_by_external_id()
    {
        var (service, other) = (await system.NewServiceAsync(Scopes.Transactions), await system.NewServiceAsync(Scopes.Transactions));
        var (alice, bob, externalId) = (await system.NewUserAsync("10.00"), await system.NewUserAsync(), $"customer {Guid.NewGuid():N}");
        await Books.ExecuteAsync(await system.DatabaseAsync(), "update identity.users set external_id = $2 where id = $1", alice.Id, externalId);
        var body = new
        {
            postings = new[] { new { from = $"user:{externalId}", to = $"user:{bob.Email}", currency = "USD", amount = "4.00" } },
            effectiveAt = "2022-01-01T00:00:00Z",
        };

        var journal = (await service.PostAsync("transactions", body, ("Idempotency-Key", "j"))).MustBe(201);

        Assert.Equal(("2022-01-01T00:00:00Z", 2), (journal["effectiveAt"], journal.Json.GetProperty("entries").GetArrayLength()));
        Assert.Equal(journal["entries"], (await service.PostAsync("transactions", body, ("Idempotency-Key", "j"))).MustBe(201)["entries"]);
        Assert.Equal(journal["entries"], (await service.GetAsync($"transactions/{journal.TransactionId}")).MustBe(200)["entries"]);
        (await other.GetAsync($"transactions/{journal.TransactionId}")).MustBe(404, "not_found");
        (await service.PostAsync("exchanges", new
        {
            sell = new { currency = "USD", amount = "6.00" },
            buy = new { currency = "JPY", amount = "900" },
            onBehalfOf = externalId,
        })).MustBe(201);
        Assert.Equal((0m, 900m, 4m), (await alice.BalanceAsync(), await alice.BalanceAsync("JPY"), await bob.BalanceAsync()));
        // Whose transaction it was does not matter: both may move everybody's money.
        (await other.PostAsync($"transactions/{journal.TransactionId}/reversal", "{}", ("Prefer", "respond-async"))).MustBe(202);
        (await other.PostAsync($"transactions/{Guid.CreateVersion7()}/reversal", "{}")).MustBe(404, "not_found");
        await Eventually.TrueAsync(async () => await bob.BalanceAsync() == 0m);
        Assert.Equal(4m, await alice.BalanceAsync());
    }

    [Fact]
    public async Task Service_account_without_scope_transactions_posts_no_journal_exchange_or_reversal()
    {
        var service = await system.NewServiceAsync(Scopes.Read, Scopes.Users, Scopes.Webhooks);
        var user = await system.NewUserAsync("10.00");
        var deposit = (await user.DepositAsync("1.00")).MustBe(201).TransactionId;

        (await service.PostAsync("transactions", new { postings = new[] { new { from = $"user:{user.Id}", to = "world", currency = "USD", amount = "1.00" } } })).MustBe(403, "forbidden");
        (await service.PostAsync("exchanges", new
        {
            sell = new { currency = "USD", amount = "1.00" },
            buy = new { currency = "JPY", amount = "1" },
            onBehalfOf = user.Id,
        })).MustBe(403, "forbidden");
        (await service.PostAsync($"transactions/{deposit}/reversal", "{}")).MustBe(403, "forbidden");
        Assert.Equal(11m, await user.BalanceAsync());
    }

    [Fact]
    public async Task Reversal_takes_a_transaction_back_once()
    {
        var (op, alice, bob) = (await system.NewOperatorAsync(), await system.NewUserAsync("10.00"), await system.NewUserAsync());
        var transfer = (await alice.TransferAsync(bob, "4.00")).MustBe(201);

        var reversal = (await op.PostAsync($"transactions/{transfer.TransactionId}/reversal", new { reference = "Mistake" }, key: "r")).MustBe(201);

        Assert.Equal(("reversal", "4.00", transfer.TransactionId.ToString()), (reversal["kind"], reversal["amount"], reversal["reverses"]));
        Assert.Equal((10m, 0m), (await alice.BalanceAsync(), await bob.BalanceAsync()));
        Assert.Equal(reversal.TransactionId.ToString(), (await alice.TransactionAsync(transfer.TransactionId)).MustBe(200)["reversedBy"]);
        Assert.Equal(transfer.TransactionId.ToString(), (await bob.TransactionAsync(reversal.TransactionId)).MustBe(200)["reverses"]);
        Assert.True((await op.PostAsync($"transactions/{transfer.TransactionId}/reversal", new { reference = "Mistake" }, key: "r")).MustBe(201).IsReplay);
        (await op.PostAsync($"transactions/{transfer.TransactionId}/reversal", "{}", key: "s")).MustBe(409, "already_reversed");
        (await op.PostAsync($"transactions/{transfer.TransactionId}/reversal", "{}", key: "s")).MustBe(409, "already_reversed");
        (await op.PostAsync($"transactions/{reversal.TransactionId}/reversal", "{}")).MustBe(409, "not_reversible");
        var rejected = (await alice.WithdrawAsync("1000.00")).MustBe(422, "insufficient_funds").TransactionId;
        (await op.PostAsync($"transactions/{rejected}/reversal", "{}")).MustBe(409, "not_reversible");
        (await op.PostAsync($"transactions/{Guid.CreateVersion7()}/reversal", "{}")).MustBe(404, "not_found");
        (await alice.PostAsync($"transactions/{transfer.TransactionId}/reversal", "{}")).MustBe(403, "forbidden");
    }

    [Fact]
    public async Task Balance_in_effect_counts_an_entry_from_its_time_of_effect_on()
    {
        var (op, user) = (await system.NewOperatorAsync(), await system.NewUserAsync("100.00"));
        (await op.PostAsync("transactions", new
        {
            postings = new[] { new { from = $"user:{user.Id}", to = "world", currency = "USD", amount = "2.50" } },
            reference = "Bank fee",
            effectiveAt = "2021-06-30T22:00:00Z",
        })).MustBe(201);
        (await op.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Id, effectiveAt = "2021-07-01T00:00:00Z" })).MustBe(201);

        Assert.Equal("98.50", (await user.GetAsync("balances/USD")).MustBe(200)["posted"]);
        Assert.Equal("0.00", await InEffectAsync("2021-06-30T21:59:59.999999Z"));
        Assert.Equal("-2.50", await InEffectAsync("2021-06-30T22:00:00Z"));
        Assert.Equal("-1.50", await InEffectAsync("2021-07-01T00:00:00Z"));
        var now = DateTime.UtcNow.AddMilliseconds(-1).ToString("O");
        Assert.Equal("98.50", await InEffectAsync(now));
        // Posted is another question.
        Assert.Equal("0.00", (await user.GetAsync("balances/USD?at=2021-07-01T00:00:00Z")).MustBe(200)["posted"]);
        (await user.GetAsync("balances/USD?effectiveAt=2999-01-01T00:00:00Z")).MustBe(400, "validation_failed");
        (await user.GetAsync($"balances/USD?effectiveAt={now}&at={now}")).MustBe(400, "validation_failed");
        (await user.PostAsync("withdrawals", new { currency = "USD", amount = "1.00", effectiveAt = "2021-07-01T00:00:00Z" })).MustBe(403, "forbidden");

        async Task<string?> InEffectAsync(string time) => (await user.GetAsync($"balances/USD?effectiveAt={time}")).MustBe(200)["posted"];
    }

    [Fact]
    public async Task Closed_period_takes_no_entry_and_is_not_opened_again()
    {
        var (op, auditor, user) = (await system.NewOperatorAsync(), await system.NewStaffAsync(Roles.Auditor), await system.NewUserAsync());
        // Long before what other tests do.
        (await PutAsync(op, "1971-01-01T00:00:00Z")).MustBe(200);

        Assert.Equal("1971-01-01T00:00:00Z", (await auditor.GetAsync("admin/periods")).MustBe(200)["closedUntil"]);
        (await PutAsync(op, "1970-12-31T00:00:00Z")).MustBe(409, "closed_until_later");
        (await PutAsync(op, "2999-12-31T00:00:00Z")).MustBe(400, "validation_failed");
        (await PutAsync(auditor, "1971-02-01T00:00:00Z")).MustBe(403, "forbidden");
        (await op.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Id, effectiveAt = "1970-12-31T23:59:59Z" })).MustBe(422, "period_closed");
        var posted = (await op.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Id, effectiveAt = "1971-01-01T00:00:00Z" })).MustBe(201);
        Assert.Equal("1971-01-01T00:00:00Z", posted["effectiveAt"]);
        Assert.Contains("books_closed", (await auditor.GetAsync("admin/audit?action=books_closed")).MustBe(200).Text, StringComparison.Ordinal);

        static async Task<Answer> PutAsync(LedgerUser caller, string until)
        {
            using var request = new HttpRequestMessage(HttpMethod.Put, "/api/v1/admin/periods")
            {
                Content = new StringContent($$"""{"closedUntil":"{{until}}"}""", System.Text.Encoding.UTF8, "application/json"),
            };
            request.Headers.TryAddWithoutValidation("Authorization", $"Bearer {caller.Token}");
            return await caller.Api.SendAsync(request);
        }
    }

    private static async Task<string> NewHouseAccountAsync(LedgerUser op)
    {
        var name = $"fees-{Guid.NewGuid():N}";
        (await op.PostAsync("admin/accounts", new { name, currency = "USD" })).MustBe(201);
        return name;
    }
}
