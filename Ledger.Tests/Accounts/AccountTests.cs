using System.Text.Json;
using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Accounts;

/// <summary>Accounts of users and of the house, and their credit limits, over HTTP.</summary>
public sealed class AccountTests(LedgerSystem system)
{
    [Fact]
    public async Task Main_account_is_opened_on_first_use_and_others_by_name()
    {
        var user = await system.NewUserAsync();
        Assert.Empty(await AccountsAsync(user));

        (await user.DepositAsync("5.00")).MustBe(201);
        var opened = (await user.PostAsync("accounts", new { currency = "USD", name = "savings", metadata = new { goal = "Bicycle" } })).MustBe(201);

        Assert.Equal([("main", "5.00"), ("savings", "0.00")], (await AccountsAsync(user)).Select(account => (Text(account, "name"), Text(account, "posted"))));
        Assert.Equal($"/api/v1/accounts/{opened["id"]}", opened.Location);
        Assert.Equal(opened.Text, (await user.GetAsync($"accounts/{opened["id"]}")).MustBe(200).Text);
        (await user.PostAsync("accounts", new { currency = "USD", name = "savings" })).MustBe(409, "account_exists");
        (await user.PostAsync("accounts", new { currency = "USD", name = " " })).MustBe(400, "validation_failed");
        (await user.PostAsync("accounts", new { currency = "NOSUCH", name = "a" })).MustBe(422, "currency_unknown");
        (await user.PostAsync("accounts", new { currency = "AED", name = "a" })).MustBe(422, "currency_disabled");
    }

    [Fact]
    public async Task Money_moves_between_a_users_accounts_and_balances_are_their_sum()
    {
        var (user, friend) = (await system.NewUserAsync("100.00"), await system.NewUserAsync());
        var savings = (await user.PostAsync("accounts", new { currency = "USD", name = "savings" })).MustBe(201)["id"]!;

        var saved = (await user.TransferAsync(savings, "60.00")).MustBe(201);
        (await user.PostAsync("transfers", new { to = friend.Email, currency = "USD", amount = "10.00", account = savings })).MustBe(201);
        (await user.PostAsync("withdrawals", new { currency = "USD", amount = "5.00", account = savings })).MustBe(201);
        var tooMuch = (await user.PostAsync("withdrawals", new { currency = "USD", amount = "45.01", account = savings })).MustBe(422, "insufficient_funds");

        Assert.Equal(2, saved.Json.GetProperty("entries").GetArrayLength());
        Assert.Equal(("45.00", "45.01"), (tooMuch["available"], tooMuch["required"]));
        Assert.Equal(("45.00", "85.00"), ((await user.GetAsync($"accounts/{savings}")).MustBe(200)["posted"], (await user.GetAsync("balances/USD")).MustBe(200)["posted"]));
        Assert.Equal("85.00", (await user.GetAsync("balances")).MustBe(200).Json.GetProperty("balances")[0].GetProperty("available").GetString());
        Assert.Equal(10m, await friend.BalanceAsync());
        (await friend.PostAsync("withdrawals", new { currency = "USD", amount = "1.00", account = savings })).MustBe(422, "account_unknown");
        (await user.PostAsync("withdrawals", new { currency = "EUR", amount = "1.00", account = savings })).MustBe(422, "account_unknown");
        (await user.PostAsync("withdrawals", new { currency = "USD", amount = "1.00", account = "savings" })).MustBe(400, "validation_failed");
        (await user.PostAsync("transfers", new { to = savings, currency = "USD", amount = "1.00", account = savings })).MustBe(422, "same_account");
    }

    [Fact]
    public async Task Another_account_under_the_same_key_is_another_request()
    {
        var user = await system.NewUserAsync("100.00");
        var savings = (await user.PostAsync("accounts", new { currency = "USD", name = "savings" })).MustBe(201)["id"]!;
        (await user.TransferAsync(savings, "50.00")).MustBe(201);

        var first = (await user.PostAsync("withdrawals", new { currency = "USD", amount = "1.00", account = savings }, key: "w")).MustBe(201);

        Assert.Equal(first.TransactionId, (await user.PostAsync("withdrawals", new { currency = "USD", amount = "1.00", account = savings }, key: "w")).MustBe(201).TransactionId);
        (await user.PostAsync("withdrawals", new { currency = "USD", amount = "1.00" }, key: "w")).MustBe(422, "idempotency_key_reused");
    }

    [Fact]
    public async Task Account_is_changed_and_closed_by_its_owner_alone()
    {
        var (user, stranger) = (await system.NewUserAsync("10.00"), await system.NewUserAsync());
        var path = $"accounts/{(await user.PostAsync("accounts", new { currency = "USD", name = "old", metadata = new { a = "b" } })).MustBe(201)["id"]}";
        var main = (await AccountsAsync(user)).Single(account => Text(account, "name") == "main").GetProperty("id").GetString();

        Assert.Equal("c", (await SendAsync(user, HttpMethod.Patch, path, """{"metadata":{"a":"c"}}""")).MustBe(200).Json.GetProperty("metadata").GetProperty("a").GetString());
        (await SendAsync(stranger, HttpMethod.Patch, path, """{"metadata":{"a":"d"}}""")).MustBe(404, "not_found");
        (await SendAsync(stranger, HttpMethod.Delete, path)).MustBe(404, "not_found");
        (await SendAsync(user, HttpMethod.Delete, $"accounts/{main}")).MustBe(409, "main_account");
        (await user.TransferAsync(path["accounts/".Length..], "1.00")).MustBe(201);
        (await SendAsync(user, HttpMethod.Delete, path)).MustBe(409, "balance_not_zero");
        (await user.PostAsync("withdrawals", new { currency = "USD", amount = "1.00", account = path["accounts/".Length..] })).MustBe(201);
        (await SendAsync(user, HttpMethod.Delete, path)).MustBe(204);
        (await SendAsync(user, HttpMethod.Delete, path)).MustBe(204);

        Assert.Equal("closed", (await user.GetAsync(path)).MustBe(200)["status"]);
        (await user.TransferAsync(path["accounts/".Length..], "1.00")).MustBe(422, "account_closed");
        (await user.PostAsync("accounts", new { currency = "USD", name = "old" })).MustBe(409, "account_exists");
    }

    [Fact]
    public async Task Service_account_opens_reads_changes_and_closes_accounts_of_a_user_by_its_scopes()
    {
        var (user, reader, mover) = (await system.NewUserAsync("10.00"), await system.NewServiceAsync(Scopes.Read), await system.NewServiceAsync(Scopes.Transactions));

        var opened = (await mover.PostAsync("accounts", new { currency = "USD", name = "savings", onBehalfOf = user.Email })).MustBe(201);
        var path = $"accounts/{opened["id"]}";

        Assert.Equal(user.Id.ToString(), opened["ownerId"]);
        Assert.Equal(opened.Text, (await reader.GetAsync($"{path}?onBehalfOf={user.Id}")).MustBe(200).Text);
        Assert.Equal(2, (await reader.GetAsync($"accounts?onBehalfOf={user.Id}")).MustBe(200).Json.GetProperty("accounts").GetArrayLength());
        (await reader.GetAsync($"{path}?onBehalfOf={(await system.NewUserAsync()).Id}")).MustBe(404, "not_found");
        (await reader.GetAsync("accounts")).MustBe(400, "validation_failed");
        (await mover.GetAsync($"{path}?onBehalfOf={user.Id}")).MustBe(403, "forbidden");
        (await reader.PostAsync("accounts", new { currency = "USD", name = "other", onBehalfOf = user.Id })).MustBe(403, "forbidden");
        (await user.PostAsync("accounts", new { currency = "USD", name = "other", onBehalfOf = user.Id })).MustBe(403, "forbidden");
        (await mover.PostAsync("accounts", new { currency = "USD", name = "other", onBehalfOf = "no-such-user" })).MustBe(404, "not_found");
        var change = $$"""{"metadata":{"a":"b"},"onBehalfOf":"{{user.Id}}"}""";
        Assert.Equal("b", (await user.Api.SendAsync(HttpMethod.Patch, path, mover.Key, change)).MustBe(200).Json.GetProperty("metadata").GetProperty("a").GetString());
        (await user.Api.SendAsync(HttpMethod.Delete, $"{path}?onBehalfOf={user.Id}", reader.Key)).MustBe(403, "forbidden");
        (await user.Api.SendAsync(HttpMethod.Delete, path, mover.Key)).MustBe(400, "validation_failed");
        (await user.Api.SendAsync(HttpMethod.Delete, $"{path}?onBehalfOf={user.Id}", mover.Key)).MustBe(204);
        Assert.Equal("closed", (await user.GetAsync(path)).MustBe(200)["status"]);
    }

    [Fact]
    public async Task Account_of_a_frozen_user_stays_frozen()
    {
        var user = await system.NewUserAsync("10.00");
        var account = (await user.PostAsync("accounts", new { currency = "USD", name = "savings" })).MustBe(201)["id"];
        await Books.ExecuteAsync(await system.DatabaseAsync(), "update ledger.accounts set status = 'frozen' where owner_id = $1", user.Id);

        (await SendAsync(user, HttpMethod.Delete, $"accounts/{account}")).MustBe(409, "account_frozen");
        (await user.TransferAsync(account!, "1.00")).MustBe(422, "account_frozen");
    }

    [Fact]
    public async Task User_has_at_most_100_accounts()
    {
        var user = await system.NewUserAsync();
        await Books.ExecuteAsync(await system.DatabaseAsync(), """
            insert into ledger.accounts (id, kind, owner_id, name, currency) select gen_random_uuid(), 'user', $1, n::text, 'USD' from generate_series(1, 99) n
            """, user.Id);

        (await user.PostAsync("accounts", new { currency = "USD", name = "the last one" })).MustBe(201);
        (await user.PostAsync("accounts", new { currency = "USD", name = "one more" })).MustBe(409, "too_many_accounts");
    }

    [Fact]
    public async Task Operator_opens_house_accounts_and_auditors_read_them()
    {
        var (op, auditor, user) = (await system.NewOperatorAsync(), await system.NewStaffAsync(Roles.Auditor), await system.NewUserAsync());
        var name = $"fees-{Guid.NewGuid():N}";

        var opened = (await op.PostAsync("admin/accounts", new { name, currency = "USD", creditLimit = "10.00" })).MustBe(201);

        Assert.Equal(("house", name, "0.00", "10.00", "10.00"), (opened["kind"], opened["name"], opened["posted"], opened["creditLimit"], opened["available"]));
        Assert.Contains(name, (await auditor.GetAsync("admin/accounts")).MustBe(200).Text, StringComparison.Ordinal);
        Assert.Equal(opened.Text, (await auditor.GetAsync($"admin/accounts/{opened["id"]}")).MustBe(200).Text);
        Assert.Equal(opened.Text, (await auditor.GetAsync($"accounts/{opened["id"]}")).MustBe(200).Text);
        (await user.GetAsync($"accounts/{opened["id"]}")).MustBe(404, "not_found");
        (await op.PostAsync("admin/accounts", new { name, currency = "USD" })).MustBe(409, "account_exists");
        (await op.PostAsync("admin/accounts", new { name = "no spaces", currency = "USD" })).MustBe(400, "validation_failed");
        (await op.PostAsync("admin/accounts", new { name = "a", currency = "USD", creditLimit = "-1" })).MustBe(400, "validation_failed");
        (await auditor.PostAsync("admin/accounts", new { name = "a", currency = "USD" })).MustBe(403, "forbidden");
        Assert.Contains("house_account_opened", (await auditor.GetAsync($"admin/audit?subject={opened["id"]}")).MustBe(200).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Credit_limit_lets_an_account_go_below_zero_and_is_not_lowered_below_what_is_used()
    {
        var (op, user) = (await system.NewOperatorAsync(), await system.NewUserAsync("10.00"));
        var account = (await AccountsAsync(user)).Single().GetProperty("id").GetString();

        Assert.Equal(("50.00", "60.00"), await SetAsync("50.00"));
        (await user.WithdrawAsync("40.00")).MustBe(201);
        (await SendAsync(op, HttpMethod.Put, $"admin/accounts/{account}/limit", """{"creditLimit":"29.99"}""")).MustBe(409, "limit_in_use");
        Assert.Equal(("30.00", "0.00"), await SetAsync("30.00"));

        var balance = (await user.GetAsync("balances/USD")).MustBe(200);
        Assert.Equal(("-30.00", "0.00"), (balance["posted"], balance["available"]));
        (await user.WithdrawAsync("0.01")).MustBe(422, "insufficient_funds");
        (await SendAsync(op, HttpMethod.Put, $"admin/accounts/{account}/limit", """{"creditLimit":"1.001"}""")).MustBe(400, "validation_failed");
        (await SendAsync(op, HttpMethod.Put, $"admin/accounts/{Guid.NewGuid()}/limit", """{"creditLimit":"1"}""")).MustBe(404, "not_found");
        Assert.Contains("credit_limit_set", (await op.GetAsync($"admin/audit?subject={account}")).MustBe(200).Text, StringComparison.Ordinal);

        async Task<(string?, string?)> SetAsync(string limit)
        {
            var answer = (await SendAsync(op, HttpMethod.Put, $"admin/accounts/{account}/limit", $$"""{"creditLimit":"{{limit}}"}""")).MustBe(200);
            return (answer["creditLimit"], answer["available"]);
        }
    }

    private static async Task<List<JsonElement>> AccountsAsync(LedgerUser user) =>
        [.. (await user.GetAsync("accounts")).MustBe(200).Json.GetProperty("accounts").EnumerateArray()];

    private static string? Text(JsonElement element, string property) => element.GetProperty(property).GetString();

    private static Task<Answer> SendAsync(LedgerUser user, HttpMethod method, string path, string? body = null) => user.Api.SendAsync(method, path, user.Token, body);
}
