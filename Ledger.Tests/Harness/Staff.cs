using Ledger.Core.Identity;

namespace Ledger.Tests.Harness;

/// <summary>Operators, auditors and service accounts for tests, made as the database's owner makes them.</summary>
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

    /// <summary>A fresh service account with a key.</summary>
    public static async Task<TestService> NewServiceAsync(this LedgerSystem system, params string[] scopes)
    {
        var id = Guid.CreateVersion7();
        await Books.ExecuteAsync(await system.DatabaseAsync(), "insert into identity.services (id, name, scopes) values ($1, $1::text, $2)", id, scopes);
        return new TestService(await system.ApiAsync(), id, await system.NewKeyAsync(id));
    }

    /// <summary>A fresh key of a service account.</summary>
    public static async Task<string> NewKeyAsync(this LedgerSystem system, Guid service, TimeSpan? expires = null)
    {
        var key = Secrets.New(ApiKey.Prefix);
        await Books.ExecuteAsync(
            await system.DatabaseAsync(), "insert into identity.service_keys (id, service_id, hash, expires_at) values ($1, $2, $3, clock_timestamp() + $4)",
            Guid.CreateVersion7(), service, Secrets.Hash(key), expires ?? TimeSpan.FromHours(1));
        return key;
    }
}

/// <summary>A service account with a key, and what it may ask of an API.</summary>
public sealed record TestService(LedgerApi Api, Guid Id, string Key)
{
    public Task<Answer> GetAsync(string path) => Api.GetAsync(path, Key);

    public Task<Answer> PostAsync(string path, object body, params (string Name, string Value)[] headers) => Api.PostAsync(path, body, Key, headers);
}
