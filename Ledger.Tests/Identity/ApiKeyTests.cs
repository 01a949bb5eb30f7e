using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Identity;

/// <summary>API keys: created by the command line, expired and revoked.</summary>
public sealed class ApiKeyTests(LedgerSystem system)
{
    private static readonly TimeSpan Everywhere = TimeSpan.FromSeconds(5);

    [Fact]
    public async Task Expired_or_revoked_API_key_is_refused()
    {
        var api = await system.ApiAsync();
        var expired = await system.NewApiKeyAsync(Roles.Operator, TimeSpan.FromSeconds(-1));
        var key = await system.NewApiKeyAsync(Roles.Operator);
        (await api.GetAsync("admin/users?limit=1", expired)).MustBe(401, "invalid_token");
        (await api.GetAsync("admin/users?limit=1", key)).MustBe(200);

        var database = await system.DatabaseAsync();
        Assert.Equal(1, await Books.NumberAsync(database, "select count(*) from identity.service_keys where hash = $1 and last_used_at is not null", Secrets.Hash(key)));
        await Books.ExecuteAsync(database, "update identity.service_keys set revoked_at = clock_timestamp() where hash = $1", Secrets.Hash(key));

        await Eventually.RefusedAsync(Everywhere, () => api.GetAsync("admin/users?limit=1", key));
    }

    [Fact]
    public async Task Tool_creates_operators_and_API_keys()
    {
        var api = await system.ApiAsync();
        var email = $"{Guid.NewGuid():N}@example.com";

        var (created, output) = await system.CliAsync("operator", "create", "--email", email);
        Assert.Equal(0, created);
        var password = output.Single(line => line.StartsWith("Password", StringComparison.Ordinal)).Split(' ')[^1];
        var login = (await api.PostAsync("identity/login", new { email, password })).MustBe(200);
        (await api.GetAsync("admin/users?limit=1", login["accessToken"])).MustBe(200);

        var (keyed, lines) = await system.CliAsync("api-key", "create", "--role", "operator", "--name", "payroll", "--expires", "90d");
        Assert.Equal(0, keyed);
        var key = lines.Single(line => line.StartsWith(ApiKey.Prefix, StringComparison.Ordinal));
        var id = lines[0].Split(' ')[1].TrimEnd(',');
        (await api.GetAsync("admin/users?limit=1", key)).MustBe(200);
        Assert.Contains((await system.CliAsync("api-key", "list")).Output, line => line.Contains(id, StringComparison.Ordinal) && line.Contains("good", StringComparison.Ordinal));

        Assert.Equal(0, (await system.CliAsync("api-key", "revoke", id)).ExitCode);
        await Eventually.RefusedAsync(TimeSpan.FromSeconds(5), () => api.GetAsync("admin/users?limit=1", key));
        Assert.Equal(1, (await system.CliAsync("api-key", "revoke", id)).ExitCode);
        Assert.NotEqual(0, (await system.CliAsync("operator", "create", "--email", "no address")).ExitCode);
    }
}
