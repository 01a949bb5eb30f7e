using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.ServiceAccounts;

/// <summary>Service accounts and their keys: created, listed, revoked and closed by operators and at the command line.</summary>
public sealed class ServiceAccountTests(LedgerSystem system)
{
    private static readonly string[] s_scopes = ["transactions", "read", "read"];

    // A key that is revoked must be refused by every API process within two seconds; the rest is for the test itself.
    private static readonly TimeSpan Everywhere = TimeSpan.FromSeconds(5);

    [Fact]
    public async Task Operator_creates_a_service_account_whose_key_moves_money_until_it_is_revoked()
    {
        var @operator = await system.NewOperatorAsync();
        var user = await system.NewUserAsync();
        var name = $"payroll {Guid.NewGuid():N}";

        var created = (await @operator.PostAsync("admin/services", new { name, scopes = s_scopes })).MustBe(201);
        Assert.Equal((name, """["read","transactions"]"""), (created["name"], created.Json.GetProperty("scopes").GetRawText()));
        (await @operator.PostAsync("admin/services", new { name, scopes = s_scopes })).MustBe(409, "service_exists");
        var issued = (await @operator.PostAsync($"admin/services/{created["id"]}/keys", new { expiresInDays = 30 })).MustBe(201);
        Assert.InRange(issued.Json.GetProperty("expiresAt").GetDateTime(), DateTime.UtcNow.AddDays(29.9), DateTime.UtcNow.AddDays(30.1));
        var key = issued["key"]!;
        Assert.StartsWith(ApiKey.Prefix, key, StringComparison.Ordinal);
        var next = (await @operator.PostAsync($"admin/services/{created["id"]}/keys", new { })).MustBe(201);
        Assert.InRange(next.Json.GetProperty("expiresAt").GetDateTime(), DateTime.UtcNow.AddDays(89.9), DateTime.UtcNow.AddDays(90.1));

        var body = new { currency = "USD", amount = "1.00", onBehalfOf = user.Id };
        (await user.Api.PostAsync("deposits", body, key)).MustBe(201);
        var keys = (await ServiceAsync(@operator, created["id"]!)).GetProperty("keys");
        Assert.Equal([issued["id"]!, next["id"]!], keys.EnumerateArray().Select(item => item.GetProperty("id").GetString()!));
        Assert.Equal(System.Text.Json.JsonValueKind.String, keys[0].GetProperty("lastUsedAt").ValueKind);
        Assert.Equal(System.Text.Json.JsonValueKind.Null, keys[1].GetProperty("lastUsedAt").ValueKind);
        Assert.DoesNotContain(key, keys.GetRawText(), StringComparison.Ordinal);
        Assert.Equal(0, await Books.NumberAsync(
            await system.DatabaseAsync(), "select count(*) from identity.service_keys k where encode(k.hash, 'escape') like '%' || $1 || '%'", key));

        (await DeleteAsync(@operator, $"admin/services/{created["id"]}/keys/{issued["id"]}")).MustBe(204);
        foreach (var api in await system.ApisAsync())
            await Eventually.RefusedAsync(Everywhere, () => api.GetAsync($"balances?onBehalfOf={user.Id}", key));
        (await DeleteAsync(@operator, $"admin/services/{created["id"]}/keys/{issued["id"]}")).MustBe(404, "not_found");
        (await user.Api.PostAsync("deposits", body, next["key"])).MustBe(201);

        (await DeleteAsync(@operator, $"admin/services/{created["id"]}")).MustBe(204);
        foreach (var api in await system.ApisAsync())
            await Eventually.RefusedAsync(Everywhere, () => api.GetAsync($"balances?onBehalfOf={user.Id}", next["key"]!));
        (await DeleteAsync(@operator, $"admin/services/{created["id"]}")).MustBe(404, "not_found");
        (await @operator.PostAsync($"admin/services/{created["id"]}/keys", new { })).MustBe(404, "not_found");

        var acts = (await @operator.GetAsync($"admin/audit?subject={created["id"]}&actor={@operator.Id}")).MustBe(200).Json.GetProperty("items").EnumerateArray();
        Assert.Equal(
            ["service_closed", "service_key_revoked", "service_key_created", "service_key_created", "service_created"],
            acts.Select(act => act.GetProperty("action").GetString()));
    }

    [Theory]
    [InlineData("""{"scopes":["read"]}""", "name", "Is required")]
    [InlineData("""{"name":"","scopes":["read"]}""", "name", "Is required")]
    [InlineData("""{"name":"n"}""", "scopes", "read, users, transactions, webhooks")]
    [InlineData("""{"name":"n","scopes":[]}""", "scopes", "read, users, transactions, webhooks")]
    [InlineData("""{"name":"n","scopes":["read","operator"]}""", "scopes", "\"operator\"")]
    [InlineData("""{"name":"n","scopes":[null]}""", "scopes", "null")]
    [InlineData("""{"name":"n","scopes":"read"}""", "scopes", "takes an array of strings")]
    public async Task Bad_service_account_is_refused(string body, string field, string part)
    {
        var answer = (await (await system.NewOperatorAsync()).PostAsync("admin/services", body)).MustBe(400, "validation_failed");
        Assert.Contains(part, Assert.Single(answer.Json.GetProperty("errors").GetProperty(field).EnumerateArray()).GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(3_651)]
    public async Task Bad_expiry_of_a_key_is_refused(int expiresInDays)
    {
        var service = await system.NewServiceAsync(Scopes.Read);
        (await (await system.NewOperatorAsync()).PostAsync($"admin/services/{service.Id}/keys", new { expiresInDays })).MustBe(400, "validation_failed");
    }

    [Fact]
    public async Task Service_accounts_are_paged()
    {
        var auditor = await system.NewStaffAsync(Roles.Auditor);
        var (older, newer) = (await system.NewServiceAsync(Scopes.Read), await system.NewServiceAsync(Scopes.Read));

        var page = (await auditor.GetAsync($"admin/services?limit=1&cursor={newer.Id}")).MustBe(200);

        // Other tests may have made one between the two.
        var next = Assert.Single(page.Json.GetProperty("items").EnumerateArray()).GetProperty("id").GetGuid();
        Assert.True(next.CompareTo(newer.Id) < 0 && next.CompareTo(older.Id) >= 0, page.Text);
        Assert.Equal(next.ToString(), page["nextCursor"]);
        (await auditor.GetAsync("admin/services?limit=0&cursor=x")).MustBe(400, "validation_failed");
    }

    [Fact]
    public async Task Expired_key_is_refused_and_last_use_is_recorded_once_a_minute()
    {
        var service = await system.NewServiceAsync(Scopes.Read);
        var user = await system.NewUserAsync();
        (await service.Api.GetAsync($"balances?onBehalfOf={user.Id}", await system.NewKeyAsync(service.Id, TimeSpan.FromSeconds(-1)))).MustBe(401, "invalid_token");

        var database = await system.DatabaseAsync();
        (await service.GetAsync($"balances?onBehalfOf={user.Id}")).MustBe(200);
        var used = await UsedAsync();
        // The key is read from the database again after two seconds, also at the other API.
        foreach (var api in await system.ApisAsync())
            (await api.GetAsync($"balances?onBehalfOf={user.Id}", service.Key)).MustBe(200);
        Assert.Equal(used, await UsedAsync());

        async Task<string> UsedAsync() => Assert.Single(await Books.TextsAsync(database, "select last_used_at::text from identity.service_keys where hash = $1", Secrets.Hash(service.Key)));
    }

    [Fact]
    public async Task Tool_creates_lists_and_closes_service_accounts_and_their_keys()
    {
        var api = await system.ApiAsync();
        var user = await system.NewUserAsync();
        var name = $"payroll {Guid.NewGuid():N}";
        var reading = $"balances?onBehalfOf={user.Id}";

        Assert.Equal(0, (await system.CliAsync("service", "create", "--name", name, "--scopes", "read,transactions")).ExitCode);
        Assert.Equal(1, (await system.CliAsync("service", "create", "--name", name, "--scopes", "read")).ExitCode);
        var (keyed, lines) = await system.CliAsync("service", "key", "create", name, "--expires", "90d");
        Assert.Equal(0, keyed);
        var (id, key) = (lines[0].Split(' ')[1], lines[1]);
        (await api.GetAsync(reading, key)).MustBe(200);
        (await api.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Id }, key)).MustBe(201);
        Assert.Contains((await system.CliAsync("service", "list")).Output, line => line.Contains($"key {id} good", StringComparison.Ordinal));

        Assert.Equal(0, (await system.CliAsync("service", "key", "revoke", id)).ExitCode);
        await Eventually.RefusedAsync(Everywhere, () => api.GetAsync(reading, key));
        Assert.Equal(1, (await system.CliAsync("service", "key", "revoke", id)).ExitCode);

        var next = (await system.CliAsync("service", "key", "create", name)).Output[1];
        (await api.GetAsync(reading, next)).MustBe(200);
        Assert.Equal(0, (await system.CliAsync("service", "close", name)).ExitCode);
        await Eventually.RefusedAsync(Everywhere, () => api.GetAsync(reading, next));
        Assert.Equal(1, (await system.CliAsync("service", "close", name)).ExitCode);
        Assert.Equal(1, (await system.CliAsync("service", "key", "create", name)).ExitCode);
        Assert.Equal(5, await Books.NumberAsync(
            await system.DatabaseAsync(),
            "select count(*) from identity.audit a join identity.services s on a.subject = s.id::text where s.name = $1 and a.actor_kind = 'command_line'", name));
    }

    [Fact]
    public async Task Tool_creates_operators()
    {
        var email = $"{Guid.NewGuid():N}@example.com";
        var (created, output) = await system.CliAsync("operator", "create", "--email", email);
        Assert.Equal(0, created);
        var password = output.Single(line => line.StartsWith("Password", StringComparison.Ordinal)).Split(' ')[^1];
        var login = (await (await system.ApiAsync()).PostAsync("identity/login", new { email, password })).MustBe(200);
        (await (await system.ApiAsync()).GetAsync("admin/users?limit=1", login["accessToken"])).MustBe(200);
        Assert.NotEqual(0, (await system.CliAsync("operator", "create", "--email", "no address")).ExitCode);
    }

    private static async Task<System.Text.Json.JsonElement> ServiceAsync(LedgerUser @operator, string id) =>
        (await @operator.GetAsync("admin/services?limit=1000")).MustBe(200).Json.GetProperty("items").EnumerateArray().Single(item => item.GetProperty("id").GetString() == id);

    private static async Task<Answer> DeleteAsync(LedgerUser user, string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Delete, "/api/v1/" + path);
        request.Headers.Authorization = new("Bearer", user.Token);
        return await user.Api.SendAsync(request);
    }
}
