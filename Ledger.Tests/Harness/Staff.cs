using Ledger.Core.Identity;

namespace Ledger.Tests.Harness;

/// <summary>Operators, auditors and API keys for tests, made as the database's owner makes them.</summary>
public static class Staff
{
    /// <summary>A fresh user with a role, logged in.</summary>
    public static async Task<LedgerUser> NewStaffAsync(this LedgerSystem system, string role)
    {
        var user = await system.NewUserAsync();
        await Books.ExecuteAsync(
            await system.DatabaseAsync(), "insert into identity.user_roles (user_id, role_id) select $1, id from identity.roles where name = $2", user.Id, role);
        var login = (await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password })).MustBe(200);
        return user with { Token = login["accessToken"]! };
    }

    public static Task<LedgerUser> NewOperatorAsync(this LedgerSystem system) => system.NewStaffAsync(Roles.Operator);

    /// <summary>A fresh API key.</summary>
    public static async Task<string> NewApiKeyAsync(this LedgerSystem system, string role, TimeSpan? expires = null)
    {
        var key = Secrets.New(ApiKey.Prefix);
        await Books.ExecuteAsync(
            await system.DatabaseAsync(),
            """
            with service as (insert into identity.services (id, name, role) values ($1, $1::text, $2) returning id)
            insert into identity.service_keys (id, service_id, hash, expires_at) select $1, id, $3, clock_timestamp() + $4 from service
            """,
            Guid.CreateVersion7(), role, Secrets.Hash(key), expires ?? TimeSpan.FromHours(1));
        return key;
    }
}
