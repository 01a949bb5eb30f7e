using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Users;

/// <summary>What operators do, what comes of it, and what the audit trail says of it.</summary>
public sealed class AdministrationTests(LedgerSystem system)
{
    private static readonly TimeSpan Everywhere = TimeSpan.FromSeconds(5);

    [Fact]
    public async Task A_frozen_user_neither_pays_nor_receives_nor_logs_in_until_unfrozen()
    {
        var apis = await system.ApisAsync();
        var @operator = await system.NewOperatorAsync();
        var user = await system.NewUserAsync("10.00");
        var friend = await system.NewUserAsync("10.00");

        var frozen = (await @operator.PostAsync($"admin/users/{user.Id}/freeze", new { reason = "under investigation" })).MustBe(200);

        Assert.Equal("True", frozen["frozen"]);
        foreach (var api in apis)
            await Eventually.RefusedAsync(Everywhere, () => user.At(api).GetAsync("balances"));
        (await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password })).MustBe(403, "forbidden");
        (await user.Api.PostAsync("identity/login", new { email = user.Email, password = "wrong password" })).MustBe(401, "invalid_credentials");
        (await friend.TransferAsync(user, "1.00")).MustBe(422, "account_frozen");
        // An account that the user does not have yet is as frozen as those that it has.
        (await friend.DepositAsync("5.00", "EUR")).MustBe(201);
        (await friend.TransferAsync(user.Email, "1.00", "EUR")).MustBe(422, "account_frozen");
        (await @operator.PostAsync("deposits", new { currency = "GBP", amount = "1.00", onBehalfOf = user.Id })).MustBe(422, "account_frozen");

        (await @operator.PostAsync($"admin/users/{user.Id}/unfreeze", new { })).MustBe(200);
        var login = (await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password })).MustBe(200);
        (await friend.TransferAsync(user, "1.00")).MustBe(201);
        Assert.Equal(11m, await (user with { Token = login["accessToken"]! }).BalanceAsync());

        var acts = (await @operator.GetAsync($"admin/audit?subject={user.Id}&actor={@operator.Id}")).MustBe(200).Json.GetProperty("items").EnumerateArray().ToList();
        Assert.Equal(["user_unfrozen", "user_frozen"], acts.Select(act => act.GetProperty("action").GetString()));
        Assert.Equal("under investigation", acts[1].GetProperty("details").GetProperty("reason").GetString());
        Assert.Equal(("user", "127.0.0.1"), (acts[1].GetProperty("actorKind").GetString(), acts[1].GetProperty("address").GetString()));
    }

    [Fact]
    public async Task A_user_who_is_frozen_while_transfers_to_new_accounts_are_under_way_has_no_open_account()
    {
        var @operator = await system.NewOperatorAsync();
        var user = await system.NewUserAsync();
        string[] currencies = ["USD", "EUR", "GBP", "JPY", "RUB"];
        var key = await system.NewApiKeyAsync(Roles.Operator);

        var deposits = Task.WhenAll(currencies.Select(currency =>
            @operator.Api.PostAsync("deposits", new { currency, amount = "1", onBehalfOf = user.Id }, key)));
        (await @operator.PostAsync($"admin/users/{user.Id}/freeze", new { })).MustBe(200);
        var answers = await deposits;

        Assert.All(answers, answer => Assert.True(answer.Status is 201 or 422, answer.Text));
        Assert.Equal(0, await Books.NumberAsync(
            await system.DatabaseAsync(), "select count(*) from ledger.accounts where owner_id = $1 and status <> 'frozen'", user.Id));
    }

    [Fact]
    public async Task A_user_whose_sessions_cannot_be_ended_is_not_frozen_either()
    {
        var database = await system.DatabaseAsync();
        var @operator = await system.NewOperatorAsync();
        var user = await system.NewUserAsync();
        var refuse = $"identity.refuse_{user.Id:N}";
        await Books.ExecuteAsync(database, $"create function {refuse}() returns trigger language plpgsql as $$ begin raise 'not now'; end $$");
        try
        {
            await Books.ExecuteAsync(database, $"""
                create trigger refuse_{user.Id:N} before update on identity.sessions
                for each row when (new.user_id = '{user.Id}') execute function {refuse}()
                """);
            (await @operator.PostAsync($"admin/users/{user.Id}/freeze", new { })).MustBe(500);
        }
        finally
        {
            await Books.ExecuteAsync(database, $"drop function {refuse}() cascade");
        }
        Assert.Equal("False", (await @operator.GetAsync($"admin/users/{user.Id}")).MustBe(200)["frozen"]);
        Assert.Empty((await @operator.GetAsync($"admin/audit?subject={user.Id}&actor={@operator.Id}")).MustBe(200).Json.GetProperty("items").EnumerateArray());

        (await @operator.PostAsync($"admin/users/{user.Id}/freeze", new { })).MustBe(200);
        Assert.Equal(0, await Books.NumberAsync(database, "select count(*) from identity.sessions where user_id = $1 and revoked_at is null", user.Id));
    }

    [Fact]
    public async Task Users_are_paged_and_found_by_address_and_id()
    {
        var auditor = await system.NewStaffAsync(Roles.Auditor);
        var user = await system.NewUserAsync();

        var byEmail = (await auditor.GetAsync($"admin/users?query={user.Email[..20]}")).MustBe(200).Json.GetProperty("items");
        var byId = (await auditor.GetAsync($"admin/users?query={user.Id}")).MustBe(200).Json.GetProperty("items");
        Assert.Equal(user.Email, Assert.Single(byEmail.EnumerateArray()).GetProperty("email").GetString());
        Assert.Equal(user.Id, Assert.Single(byId.EnumerateArray()).GetProperty("userId").GetGuid());
        Assert.Empty((await auditor.GetAsync("admin/users?query=%25")).MustBe(200).Json.GetProperty("items").EnumerateArray());

        var first = (await auditor.GetAsync("admin/users?limit=1")).MustBe(200);
        var second = (await auditor.GetAsync($"admin/users?limit=1&cursor={first["nextCursor"]}")).MustBe(200);
        Assert.NotEqual(first.Json.GetProperty("items")[0].GetProperty("userId").GetGuid(), second.Json.GetProperty("items")[0].GetProperty("userId").GetGuid());
        (await auditor.GetAsync("admin/users?limit=0&cursor=x")).MustBe(400, "validation_failed");
        (await auditor.GetAsync($"admin/users/{Guid.CreateVersion7()}")).MustBe(404, "not_found");
    }

    [Fact]
    public async Task A_currency_is_added_used_disabled_and_enabled()
    {
        var apis = await system.ApisAsync();
        var @operator = await system.NewOperatorAsync();
        var user = await system.NewUserAsync();
        var code = "T" + Convert.ToHexString(Guid.NewGuid().ToByteArray())[..10];

        (await @operator.PostAsync("admin/currencies", new { code, name = "Test money", exponent = 4 })).MustBe(201);
        (await @operator.PostAsync("admin/currencies", new { code, name = "Test money", exponent = 4 })).MustBe(409, "currency_exists");
        (await user.DepositAsync("1.2345", code)).MustBe(201);
        Assert.Equal(1.2345m, await user.BalanceAsync(code));

        Assert.Equal("False", (await @operator.PostAsync($"admin/currencies/{code}/disable", "")).MustBe(200)["enabled"]);
        (await user.DepositAsync("1", code)).MustBe(422, "currency_disabled");
        (await @operator.PostAsync($"admin/currencies/{code}/enable", "")).MustBe(200);
        (await user.DepositAsync("1", code)).MustBe(201);
        (await @operator.PostAsync("admin/currencies/NOPE/enable", "")).MustBe(404, "not_found");

        await Eventually.TrueAsync(async () => (await apis[1].GetAsync("currencies")).Text.Contains(code, StringComparison.Ordinal), TimeSpan.FromSeconds(15));
        var acts = (await @operator.GetAsync($"admin/audit?subject={code}")).MustBe(200).Json.GetProperty("items").EnumerateArray();
        Assert.Equal(["currency_enabled", "currency_disabled", "currency_added"], acts.Select(act => act.GetProperty("action").GetString()));
    }

    [Theory]
    [InlineData("""{"code":"usd","name":"x","exponent":2}""", "code")]
    [InlineData("""{"code":"US","name":"x","exponent":2}""", "code")]
    [InlineData("""{"code":"ABC\n","name":"x","exponent":2}""", "code")]
    [InlineData("""{"code":"ABC'; drop table ledger.currencies; --","name":"x","exponent":2}""", "code")]
    [InlineData("""{"code":"ABC","name":"","exponent":2}""", "name")]
    [InlineData("""{"code":"ABC","name":"x","exponent":13}""", "exponent")]
    [InlineData("""{"code":"ABC","name":"x"}""", "exponent")]
    [InlineData("""{"code":"ABC","name":"x","exponent":"2"}""", "exponent")]
    public async Task What_is_no_currency_is_not_added(string body, string field)
    {
        var answer = (await (await system.NewOperatorAsync()).PostAsync("admin/currencies", body)).MustBe(400, "validation_failed");
        Assert.True(answer.Json.GetProperty("errors").TryGetProperty(field, out _), answer.Text);
    }

    [Fact]
    public async Task An_API_key_deposits_for_a_user_who_sees_it_as_its_own()
    {
        var key = await system.NewApiKeyAsync(Roles.Operator);
        var user = await system.NewUserAsync();
        var body = new { currency = "USD", amount = "12.34", reference = "salary", onBehalfOf = user.Email };

        var deposit = (await user.Api.PostAsync("deposits", body, key, ("Idempotency-Key", "salary-1"))).MustBe(201);
        var again = (await user.Api.PostAsync("deposits", body, key, ("Idempotency-Key", "salary-1"))).MustBe(201);

        Assert.True(again.IsReplay);
        Assert.Equal(deposit.TransactionId, again.TransactionId);
        Assert.Equal(12.34m, await user.BalanceAsync());
        (await user.TransactionAsync(deposit.TransactionId)).MustBe(200);
        // Where the key's owner was told that it is, it is for the key.
        (await user.Api.GetAsync(deposit.Location!, key)).MustBe(200);
        // The key's idempotency keys are its own: the user's are others.
        Assert.False((await user.DepositAsync("1.00", key: "salary-1")).MustBe(201).IsReplay);
        Assert.Equal(1, await Books.NumberAsync(await system.DatabaseAsync(),
            "select count(*) from ledger.transactions t join identity.api_keys k on k.id = t.caller_id where t.id = $1", deposit.TransactionId));
    }

    [Fact]
    public async Task A_deposit_that_is_answered_202_is_there_for_the_key_and_for_the_user()
    {
        var key = await system.NewApiKeyAsync(Roles.Operator);
        var user = await system.NewUserAsync();

        var accepted = (await user.Api.PostAsync(
            "deposits", new { currency = "USD", amount = "2.00", onBehalfOf = user.Id }, key, ("Prefer", "respond-async"), ("Idempotency-Key", "k"))).MustBe(202);

        (await user.Api.GetAsync(accepted.Location!, key)).MustBe(200);
        (await user.DecidedAsync(accepted.TransactionId)).MustBe(200);
        Assert.Equal(2m, await user.BalanceAsync());
    }

    [Theory]
    [InlineData("nobody@example.com", 422, "recipient_unknown")]
    [InlineData("01900000-0000-7000-8000-00000000dead", 422, "recipient_unknown")]
    [InlineData("no address", 400, "validation_failed")]
    public async Task A_deposit_for_nobody_is_refused(string onBehalfOf, int status, string code)
    {
        var key = await system.NewApiKeyAsync(Roles.Operator);
        (await (await system.ApiAsync()).PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf }, key)).MustBe(status, code);
    }

    [Fact]
    public async Task An_API_key_is_refused_when_it_has_expired_and_soon_after_it_was_revoked()
    {
        var api = await system.ApiAsync();
        var expired = await system.NewApiKeyAsync(Roles.Operator, TimeSpan.FromSeconds(-1));
        var key = await system.NewApiKeyAsync(Roles.Operator);
        (await api.GetAsync("admin/users?limit=1", expired)).MustBe(401, "invalid_token");
        (await api.GetAsync("admin/users?limit=1", key)).MustBe(200);

        var database = await system.DatabaseAsync();
        Assert.Equal(1, await Books.NumberAsync(database, "select count(*) from identity.api_keys where hash = $1 and last_used_at is not null", Secrets.Hash(key)));
        await Books.ExecuteAsync(database, "update identity.api_keys set revoked_at = clock_timestamp() where hash = $1", Secrets.Hash(key));

        await Eventually.RefusedAsync(Everywhere, () => api.GetAsync("admin/users?limit=1", key));
    }

    [Fact]
    public async Task Staff_reads_a_users_balances_and_transactions()
    {
        var auditor = await system.NewStaffAsync(Roles.Auditor);
        var user = await system.NewUserAsync("3.00");

        Assert.Contains("\"3.00\"", (await auditor.GetAsync($"admin/users/{user.Id}/balances")).MustBe(200).Text);
        Assert.Single((await auditor.GetAsync($"admin/users/{user.Id}/transactions?kind=deposit")).MustBe(200).Json.GetProperty("items").EnumerateArray());
        foreach (var what in (string[])["", "/balances", "/transactions"])
            (await auditor.GetAsync($"admin/users/{Guid.CreateVersion7()}{what}")).MustBe(404, "not_found");
    }

    [Fact]
    public async Task Staff_reads_what_the_verifier_found_last()
    {
        var auditor = await system.NewStaffAsync(Roles.Auditor);
        var (at, accounts) = (DateTime.UtcNow, Random.Shared.NextInt64(1_000_000, long.MaxValue));
        at = at.AddTicks(-(at.Ticks % TimeSpan.TicksPerSecond));
        Answer? last = null;
        // A worker's own run may come in between.
        await Eventually.TrueAsync(async () =>
        {
            await Books.ExecuteAsync(await system.DatabaseAsync(), """
                insert into ledger.verifications (at, took, accounts, transactions, entries, failures, report)
                values ($1, '1500 milliseconds', $2, 2, 4, 0, '{}')
                """, at, accounts);
            last = (await auditor.GetAsync("admin/verification")).MustBe(200);
            return last.Json.GetProperty("accounts").GetInt64() == accounts;
        });

        Assert.Equal(
            $$$"""{"at":"{{{at:yyyy-MM-ddTHH:mm:ss}}}Z","seconds":1.5,"accounts":{{{accounts}}},"transactions":2,"entries":4,"failures":0,"report":{}}""", last!.Text);
        (await (await system.NewUserAsync()).GetAsync("admin/verification")).MustBe(403, "forbidden");
    }

    [Fact]
    public async Task Sign_ins_and_failed_ones_are_in_the_audit_trail()
    {
        var auditor = await system.NewStaffAsync(Roles.Auditor);
        var user = await system.NewUserAsync();
        (await user.Api.PostAsync("identity/login", new { email = user.Email, password = "wrong password" })).MustBe(401);

        var actions = (await auditor.GetAsync($"admin/audit?subject={user.Id}")).MustBe(200).Json.GetProperty("items").EnumerateArray();

        Assert.Equal(["sign_in_failed", "signed_in"], actions.Select(act => act.GetProperty("action").GetString()));
    }
}
