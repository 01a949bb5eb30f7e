using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Users;

/// <summary>Operators list and freeze users; auditors read their accounts and transactions.</summary>
public sealed class UserTests(LedgerSystem system)
{
    private static readonly TimeSpan Everywhere = TimeSpan.FromSeconds(5);

    [Fact]
    public async Task Frozen_user_cannot_pay_receive_or_log_in_until_unfrozen()
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
        // The freeze covers accounts that are opened later.
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
    public async Task Freeze_during_deposits_to_new_accounts_leaves_no_open_account()
    {
        var @operator = await system.NewOperatorAsync();
        var user = await system.NewUserAsync();
        string[] currencies = ["USD", "EUR", "GBP", "JPY", "RUB"];
        var key = (await system.NewServiceAsync(Scopes.Transactions)).Key;

        var deposits = Task.WhenAll(currencies.Select(currency =>
            @operator.Api.PostAsync("deposits", new { currency, amount = "1", onBehalfOf = user.Id }, key)));
        (await @operator.PostAsync($"admin/users/{user.Id}/freeze", new { })).MustBe(200);
        var answers = await deposits;

        Assert.All(answers, answer => Assert.True(answer.Status is 201 or 422, answer.Text));
        Assert.Equal(0, await Books.NumberAsync(
            await system.DatabaseAsync(), "select count(*) from ledger.accounts where owner_id = $1 and status <> 'frozen'", user.Id));
    }

    [Fact]
    public async Task User_is_not_frozen_if_the_sessions_cannot_be_ended()
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
    public async Task Users_are_paged_and_found_by_email_and_id()
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
    public async Task Auditor_reads_balances_and_transactions_of_a_user()
    {
        var auditor = await system.NewStaffAsync(Roles.Auditor);
        var user = await system.NewUserAsync("3.00");

        Assert.Contains("\"3.00\"", (await auditor.GetAsync($"admin/users/{user.Id}/balances")).MustBe(200).Text);
        Assert.Single((await auditor.GetAsync($"admin/users/{user.Id}/transactions?kind=deposit")).MustBe(200).Json.GetProperty("items").EnumerateArray());
        foreach (var what in (string[])["", "/balances", "/transactions"])
            (await auditor.GetAsync($"admin/users/{Guid.CreateVersion7()}{what}")).MustBe(404, "not_found");
    }
}
