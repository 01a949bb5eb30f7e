using System.Security.Cryptography;
using Ledger.Core.Identity;
using Ledger.Core.Persistence;
using Ledger.Tests.Harness;
using Microsoft.IdentityModel.Tokens;
using Npgsql;

namespace Ledger.Tests.Oidc;

/// <summary>A provider, and two APIs that accept its tokens with different options.</summary>
public sealed class ExternalLedger(LedgerSystem system) : IAsyncLifetime
{
    internal OidcProvider Provider { get; } = new();

    /// <summary>Makes users and takes their roles from the claim <c>roles</c>.</summary>
    public LedgerApi Open { get; private set; } = null!;

    /// <summary>Makes no users, limits tokens by the claim <c>permissions</c>, and takes clients for service accounts.</summary>
    public LedgerApi Limited { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        await Provider.StartAsync();
        Open = await system.StartApiAsync([.. Options(Provider), ("Ledger__Oidc__CreateUsers", "true"), ("Ledger__Oidc__RolesClaim", "roles")]);
        Limited = await system.StartApiAsync([.. Options(Provider), ("Ledger__Oidc__ScopesClaim", "permissions"), ("Ledger__Oidc__ServiceClaim", "client_id")]);
    }

    public async ValueTask DisposeAsync()
    {
        Open?.Dispose();
        Limited?.Dispose();
        await Provider.DisposeAsync();
    }

    internal static (string Option, string Value)[] Options(OidcProvider provider) =>
        [("Ledger__Oidc__Authority", provider.Address.AbsoluteUri), ("Ledger__Oidc__Audience", OidcProvider.Audience)];
}

/// <summary>Access tokens of an external OpenID Connect provider, beside the ledger's own.</summary>
public sealed class ExternalLoginTests(LedgerSystem system, ExternalLedger external) : IClassFixture<ExternalLedger>
{
    // What another API process has done must be in effect within this time.
    private static readonly TimeSpan Everywhere = TimeSpan.FromSeconds(5);

    private static readonly string[] s_operatorAndUnknown = ["operator", "root"];
    private static readonly string[] s_readAndTransactions = ["read", "transactions"];
    private static readonly string[] s_everyRole = ["operator", "auditor"];

    private static string NewSubject() => $"subject-{Guid.NewGuid():N}";

    [Fact]
    public async Task Token_of_the_provider_makes_a_user_who_pays_and_is_paid_beside_users_with_sessions()
    {
        var subject = NewSubject();
        var user = await UserAsync(subject);
        var own = (await system.NewUserAsync()).At(external.Open);

        (await user.DepositAsync("10.00")).MustBe(201);
        (await user.TransferAsync(own, "4.00")).MustBe(201);
        (await own.TransferAsync(user, "1.00")).MustBe(201);

        Assert.Equal((7.00m, 3.00m), (await user.BalanceAsync(), await own.BalanceAsync()));
        // Another token of the same subject is the same user, and so is the same token at another API.
        Assert.Equal(user.Id, (await UserAsync(subject)).Id);
        Assert.Equal(user.Id, await IdAsync(user.At(external.Limited) with { Token = await external.Provider.TokenAsync(subject, ("permissions", "read")) }));
    }

    [Theory]
    [InlineData("expired")]
    [InlineData("foreign issuer")]
    [InlineData("wrong audience")]
    [InlineData("alg none")]
    [InlineData("HS256 by the public key")]
    [InlineData("HS256 by the public key as PEM")]
    [InlineData("unknown key")]
    [InlineData("another key with the known id")]
    [InlineData("no subject")]
    public async Task Token_that_the_provider_does_not_vouch_for_is_invalid(string kind)
    {
        var provider = external.Provider;
        var (subject, key) = (NewSubject(), provider.Key);
        var good = new SigningCredentials(key, SecurityAlgorithms.RsaSha256);
        var publicKey = key.Rsa.ExportSubjectPublicKeyInfo();
        var token = kind switch
        {
            "expired" => provider.Forge(subject, good, age: TimeSpan.FromMinutes(11)),
            "foreign issuer" => provider.Forge(subject, good, issuer: "http://127.0.0.1:1/"),
            "wrong audience" => provider.Forge(subject, good, audience: "another-api"),
            "alg none" => provider.Forge(subject, null),
            "HS256 by the public key" => provider.Forge(subject, Hmac(publicKey)),
            "HS256 by the public key as PEM" => provider.Forge(subject, Hmac(System.Text.Encoding.ASCII.GetBytes(key.Rsa.ExportSubjectPublicKeyInfoPem()))),
            "unknown key" => provider.Forge(subject, new SigningCredentials(OidcProvider.NewKey(), SecurityAlgorithms.RsaSha256)),
            "another key with the known id" => provider.Forge(
                subject, new SigningCredentials(new RsaSecurityKey(RSA.Create(2048)) { KeyId = key.KeyId }, SecurityAlgorithms.RsaSha256)),
            _ => provider.Forge("", good),
        };

        var answer = (await external.Open.GetAsync("balances", token)).MustBe(401, "invalid_token");

        Assert.Equal("error=\"invalid_token\"", Assert.Single(answer.Headers.WwwAuthenticate).Parameter);
        Assert.Equal(0, await Books.NumberAsync(await system.DatabaseAsync(), "select count(*) from identity.user_logins where provider_key = $1", subject));
        // The same token with nothing wrong is accepted.
        (await external.Open.GetAsync("balances", provider.Forge(subject, good, claims: ("jti", "1")))).MustBe(200);

        SigningCredentials Hmac(byte[] secret) => new(new SymmetricSecurityKey(secret) { KeyId = key.KeyId }, SecurityAlgorithms.HmacSha256);
    }

    [Fact]
    public async Task First_requests_at_once_make_one_user()
    {
        var (subject, before) = (NewSubject(), Guid.CreateVersion7());
        var email = $"{subject}@example.com";
        var tokens = await Task.WhenAll(Enumerable.Range(0, 16).Select(i => external.Provider.TokenAsync(subject, ("email", email), ("email_verified", true), ("n", $"{i}"))));

        var users = await Task.WhenAll(tokens.Select(async token => (await external.Open.GetAsync("identity/me", token)).MustBe(200).Json.GetProperty("userId").GetGuid()));

        var user = Assert.Single(users.Distinct());
        var database = await system.DatabaseAsync();
        Assert.Equal(1, await Books.NumberAsync(database, "select count(*) from identity.user_logins where provider_key = $1 and user_id = $2", subject, user));
        Assert.Equal(1, await Books.NumberAsync(database, "select count(*) from identity.users where email = $1", email));
        // No user of a request that came second is left. Only a login makes a stamp of 36 characters; other tests make users meanwhile.
        Assert.Equal(0, await Books.NumberAsync(
            database, """
            select count(*) from identity.users u where u.id > $1 and length(u.security_stamp) = 36 and u.password_hash is null
                and not exists (select from identity.user_logins l where l.user_id = u.id)
            """,
            before));
    }

    [Fact]
    public async Task Unknown_subject_is_refused_where_users_are_not_made_and_accepted_once_it_has_a_user()
    {
        var subject = NewSubject();
        var token = await external.Provider.TokenAsync(subject, ("permissions", "read"));

        (await external.Limited.GetAsync("balances", token)).MustBe(403, "forbidden");
        Assert.Equal(0, await Books.NumberAsync(await system.DatabaseAsync(), "select count(*) from identity.user_logins where provider_key = $1", subject));

        await UserAsync(subject);
        (await external.Limited.GetAsync("balances", token)).MustBe(200);
    }

    [Fact]
    public async Task Token_of_a_client_without_a_user_makes_no_user()
    {
        (await external.Open.GetAsync("balances", await external.Provider.TokenAsync(OidcProvider.Client))).MustBe(403, "forbidden");
        Assert.Equal(0, await Books.NumberAsync(
            await system.DatabaseAsync(), "select count(*) from identity.user_logins where provider_key = $1", OidcProvider.Client));
    }

    [Fact]
    public async Task Client_is_the_service_account_with_its_name_and_has_the_scopes_of_both()
    {
        var (client, subject) = ($"client-{Guid.NewGuid():N}", NewSubject());
        var database = await system.DatabaseAsync();
        var staff = await system.NewOperatorAsync();
        var user = await UserAsync(subject);
        var deposit = new { currency = "USD", amount = "5.00", onBehalfOf = user.Id };
        var reading = $"balances?onBehalfOf={user.Id}";
        var pay = await external.Provider.TokenOfAsync(client, client, ("permissions", "transactions admin"));
        (await external.Limited.PostAsync("deposits", deposit, pay)).MustBe(403, "forbidden");

        var service = (await staff.PostAsync("admin/services", new { name = client, scopes = s_readAndTransactions })).MustBe(201)["id"]!;

        var posted = (await external.Limited.PostAsync("deposits", deposit, pay)).MustBe(201);
        Assert.Equal(1, await Books.NumberAsync(
            database, "select count(*) from ledger.transactions where id = $1 and principal_id = $2", Guid.Parse(posted["id"]!), Guid.Parse(service)));
        (await external.Limited.GetAsync($"transactions/{posted["id"]}", pay)).MustBe(200);
        // The account has the scope and the token does not, or neither has it.
        var refused = (await external.Limited.GetAsync(reading, pay)).MustBe(403, "forbidden");
        Assert.Equal("error=\"insufficient_scope\", scope=\"read\"", Assert.Single(refused.Headers.WwwAuthenticate).Parameter);
        (await external.Limited.GetAsync("admin/users", pay)).MustBe(403, "forbidden");
        // The token has the scope and the account does not.
        var read = await external.Provider.TokenOfAsync(client, client, ("permissions", "read users"));
        (await external.Limited.GetAsync(reading, read)).MustBe(200);
        (await external.Limited.PostAsync("users", new { name = "x" }, read)).MustBe(403, "forbidden");
        (await external.Limited.PostAsync("deposits", deposit, read)).MustBe(403, "forbidden");
        // A user who uses the client is still a user.
        var used = user with { Api = external.Limited, Token = await external.Provider.TokenOfAsync(client, subject, ("permissions", "read transactions")) };
        Assert.Equal(user.Id, await IdAsync(used));
        (await used.GetAsync(reading)).MustBe(403, "forbidden");

        (await staff.Api.SendAsync(HttpMethod.Delete, $"admin/services/{service}", staff.Token)).MustBe(204);
        await Eventually.TrueAsync(
            async () => (await external.Limited.GetAsync(reading, read)).Status == 403, Everywhere, () => "A closed service account is accepted.");
        Assert.Equal(0, await Books.NumberAsync(database, "select count(*) from identity.user_logins where provider_key = $1", client));
    }

    [Fact]
    public async Task Closed_user_is_not_made_again_by_an_old_token()
    {
        var subject = NewSubject();
        var user = await UserAsync(subject);
        var staff = await system.NewOperatorAsync();

        (await staff.Api.SendAsync(HttpMethod.Delete, $"users/{user.Id}", staff.Token)).MustBe(204);

        await Eventually.RefusedAsync(Everywhere, () => user.GetAsync("balances"));
        (await external.Limited.GetAsync("identity/me", user.Token)).MustBe(401, "invalid_token");
        Assert.Equal(0, await Books.NumberAsync(await system.DatabaseAsync(), "select count(*) from identity.user_logins where provider_key = $1", subject));
        Assert.NotEqual(user.Id, (await UserAsync(subject)).Id);
    }

    [Fact]
    public async Task New_user_has_the_verified_address_in_its_one_normal_form_and_never_that_of_another_user()
    {
        var local = $"{Guid.NewGuid():N}";
        var verified = await UserAsync(NewSubject(), ("email", $"{local}\uff41@example.com"), ("email_verified", true));
        var unverified = await UserAsync(NewSubject(), ("email", $"{local}b@example.com"), ("email_verified", false));
        var invisible = await UserAsync(NewSubject(), ("email", $"{local}\u200bc@example.com"), ("email_verified", true));
        var taken = await UserAsync(NewSubject(), ("email", $"{local.ToUpperInvariant()}A@example.com"), ("email_verified", true));
        var registered = await system.NewUserAsync();
        var linked = await UserAsync(NewSubject(), ("email", registered.Email), ("email_verified", true));

        Assert.Equal($"{local}a@example.com", await EmailAsync(verified));
        Assert.All(await Task.WhenAll(EmailAsync(unverified), EmailAsync(invisible), EmailAsync(taken), EmailAsync(linked)), Assert.Null);
        Assert.NotEqual(registered.Id, linked.Id);
        // There is no password to log in with.
        (await external.Open.PostAsync("identity/login", new { email = $"{local}a@example.com", password = LedgerApi.Password })).MustBe(401, "invalid_credentials");
        // Operators see users without an address.
        var staff = await system.NewOperatorAsync();
        Assert.Equal("", (await staff.GetAsync($"admin/users/{linked.Id}")).MustBe(200)["email"]);

        static async Task<string?> EmailAsync(LedgerUser user) => (await user.GetAsync("identity/me")).MustBe(200).Json.GetProperty("email").GetString();
    }

    [Fact]
    public async Task Token_is_allowed_what_its_scopes_say()
    {
        var subject = NewSubject();
        var user = await UserAsync(subject);
        (await user.DepositAsync("10.00")).MustBe(201);
        await Books.ExecuteAsync(
            await system.DatabaseAsync(), "insert into identity.user_roles (user_id, role_id) select $1, id from identity.roles where name = 'operator'", user.Id);

        var read = await LimitedAsync("read", "unknown");
        (await read.GetAsync("balances")).MustBe(200);
        (await read.GetAsync("admin/users")).MustBe(403, "forbidden");
        var refused = (await read.WithdrawAsync("1.00")).MustBe(403, "forbidden");
        Assert.Equal("error=\"insufficient_scope\", scope=\"transactions\"", Assert.Single(refused.Headers.WwwAuthenticate).Parameter);
        (await read.PostAsync($"admin/users/{Guid.CreateVersion7()}/freeze", "")).MustBe(403, "forbidden");

        var pay = await LimitedAsync("transactions");
        var own = (await pay.WithdrawAsync("1.00")).MustBe(201);
        (await pay.GetAsync("balances")).MustBe(403, "forbidden");
        // The outcome of the user's commands, and of no others.
        (await pay.GetAsync($"transactions/{own["id"]}")).MustBe(200);
        var foreign = (await (await system.NewOperatorAsync()).PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Id })).MustBe(201);
        (await pay.GetAsync($"transactions/{foreign["id"]}")).MustBe(404, "not_found");
        (await read.GetAsync($"transactions/{foreign["id"]}")).MustBe(200);
        (await pay.PostAsync($"admin/users/{Guid.CreateVersion7()}/freeze", "")).MustBe(403, "forbidden");

        var administer = await LimitedAsync("admin");
        (await administer.PostAsync($"admin/users/{Guid.CreateVersion7()}/freeze", "")).MustBe(404, "not_found");
        (await administer.GetAsync("admin/users")).MustBe(200);
        (await administer.PostAsync("users", new { name = "x" })).MustBe(403, "forbidden");
        (await administer.WithdrawAsync("1.00")).MustBe(403, "forbidden");

        // One string with blanks; no claim at all; and what ends a session needs no scope.
        var both = user.At(external.Limited) with { Token = await external.Provider.TokenAsync(subject, ("permissions", "read transactions")) };
        (await both.GetAsync("balances")).MustBe(200);
        (await both.WithdrawAsync("1.00")).MustBe(201);
        var nothing = user.At(external.Limited) with { Token = await external.Provider.TokenAsync(subject) };
        (await nothing.GetAsync("balances")).MustBe(403, "forbidden");
        (await nothing.WithdrawAsync("1.00")).MustBe(403, "forbidden");
        (await nothing.GetAsync("identity/me")).MustBe(200);
        (await nothing.PostAsync("identity/logout", "")).MustBe(204);
        // The ledger's own sessions are not limited.
        (await (await system.NewUserAsync()).At(external.Limited).GetAsync("balances")).MustBe(200);

        async Task<LedgerUser> LimitedAsync(params string[] scopes) =>
            user.At(external.Limited) with { Token = await external.Provider.TokenAsync(subject, ("permissions", scopes)) };
    }

    [Fact]
    public async Task Roles_of_the_newest_token_are_the_users_roles_also_for_the_database()
    {
        var subject = NewSubject();
        var database = await system.DatabaseAsync();
        var good = new SigningCredentials(external.Provider.Key, SecurityAlgorithms.RsaSha256);
        var user = await UserAsync(subject, ("roles", s_operatorAndUnknown));
        var payee = await system.NewUserAsync();

        (await user.GetAsync("admin/users")).MustBe(200);
        // The engine and the database ask for the role as well.
        (await user.PostAsync("deposits", new { currency = "USD", amount = "5.00", onBehalfOf = payee.Id })).MustBe(201);
        Assert.Equal(["operator"], await RolesAsync());
        Assert.Equal(1, await EntriesAsync(AuditActions.RoleGranted));

        var without = user with { Token = await external.Provider.TokenAsync(subject) };
        (await without.GetAsync("admin/users")).MustBe(403, "forbidden");
        await Eventually.TrueAsync(async () => (await user.GetAsync("admin/users")).Status == 403, Everywhere, () => "A role that was taken away is still effective.");
        Assert.Empty(await RolesAsync());
        Assert.Equal(1, await EntriesAsync(AuditActions.RoleRevoked));

        // An older token with the role, which the provider may have issued before it took the role away.
        var older = user with { Token = external.Provider.Forge(subject, good, age: TimeSpan.FromMinutes(1), claims: ("roles", s_everyRole)) };
        (await older.GetAsync("balances")).MustBe(200);
        (await older.GetAsync("admin/users")).MustBe(403, "forbidden");
        Assert.Empty(await RolesAsync());

        var auditor = user with { Token = await external.Provider.TokenAsync(subject, ("roles", "auditor")) };
        (await auditor.GetAsync("admin/users")).MustBe(200);
        (await auditor.PostAsync("deposits", new { currency = "USD", amount = "5.00", onBehalfOf = payee.Id })).MustBe(403, "forbidden");

        async Task<string[]> RolesAsync()
        {
            await using var command = database.CreateCommand(
                "select array(select r.name from identity.user_roles ur join identity.roles r on r.id = ur.role_id where ur.user_id = $1)");
            command.Parameters.Add(new() { Value = user.Id });
            return (string[])(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken))!;
        }

        Task<long> EntriesAsync(string action) => Books.NumberAsync(
            database, "select count(*) from identity.audit where subject = $1 and action = $2 and details->>'provider' = $3",
            user.Id.ToString(), action, external.Provider.Address.AbsoluteUri);
    }

    [Fact]
    public async Task Freeze_ends_the_tokens_of_a_user_as_it_ends_sessions()
    {
        var subject = NewSubject();
        var user = await UserAsync(subject);
        var staff = await system.NewOperatorAsync();

        (await staff.PostAsync($"admin/users/{user.Id}/freeze", "")).MustBe(200);
        await Eventually.RefusedAsync(Everywhere, () => user.GetAsync("balances"));
        (await external.Open.GetAsync("balances", await external.Provider.TokenAsync(subject))).MustBe(403, "forbidden");

        (await staff.PostAsync($"admin/users/{user.Id}/unfreeze", "")).MustBe(200);
        (await user.GetAsync("balances")).MustBe(401, "invalid_token");
        Assert.Equal(user.Id, (await UserAsync(subject)).Id);
    }

    [Fact]
    public async Task Logout_ends_a_token_everywhere_however_its_signature_is_written()
    {
        var subject = NewSubject();
        var token = await external.Provider.TokenAsync(subject, ("permissions", "read"));
        var user = await UserOfAsync(token);
        (await external.Limited.GetAsync("balances", token)).MustBe(200);

        (await user.PostAsync("identity/logout", "")).MustBe(204);

        (await user.GetAsync("balances")).MustBe(401, "invalid_token");
        await Eventually.RefusedAsync(Everywhere, () => external.Limited.GetAsync("balances", token));
        // Base64 of 256 bytes ends with four unused bits.
        var rewritten = token[..^1] + (char)(token[^1] + 1);
        Assert.Equal(401, (await external.Open.GetAsync("balances", rewritten)).Status);
        // A new token is a new login.
        Assert.Equal(user.Id, (await UserAsync(subject)).Id);
    }

    [Fact]
    public async Task Key_that_the_provider_changes_is_found_and_the_last_one_is_refused()
    {
        await using var provider = new OidcProvider();
        await provider.StartAsync();
        using var api = await system.StartApiAsync([.. ExternalLedger.Options(provider), ("Ledger__Oidc__CreateUsers", "true")]);
        var before = await provider.TokenAsync(NewSubject());
        (await api.GetAsync("balances", before)).MustBe(200);

        await provider.RotateAsync();
        var after = await provider.TokenAsync(NewSubject());

        await Eventually.TrueAsync(async () => (await api.GetAsync("balances", after)).Status == 200, otherwise: () => "The new key is not known.");
        (await api.GetAsync("balances", before)).MustBe(401, "invalid_token");

        // Keys that are known last while the provider is away.
        await provider.DisposeAsync();
        (await api.GetAsync("balances", after)).MustBe(200);
    }

    [Fact]
    public async Task Provider_that_is_away_at_the_start_makes_its_tokens_unavailable_and_no_others()
    {
        await using var provider = new OidcProvider();
        using var api = await system.StartApiAsync([.. ExternalLedger.Options(provider), ("Ledger__Oidc__CreateUsers", "true")]);
        var token = provider.Forge(NewSubject(), new SigningCredentials(provider.Key, SecurityAlgorithms.RsaSha256));

        Assert.NotNull((await api.GetAsync("balances", token)).MustBe(503, "unavailable").Headers.RetryAfter);
        (await (await system.NewUserAsync()).At(api).GetAsync("balances")).MustBe(200);
        (await api.GetAsync("/health")).MustBe(200);

        await provider.StartAsync();
        await Eventually.TrueAsync(async () => (await api.GetAsync("balances", token)).Status == 200, otherwise: () => "The provider's keys were not read.");
    }

    [Fact]
    public async Task Document_names_the_provider_as_a_way_in()
    {
        var document = (await external.Open.GetAsync("/openapi/v1.json")).MustBe(200).Json;

        Assert.Equal(
            new Uri(external.Provider.Address, ".well-known/openid-configuration").AbsoluteUri,
            document.GetProperty("components").GetProperty("securitySchemes").GetProperty("oidc").GetProperty("openIdConnectUrl").GetString());
        var ways = document.GetProperty("paths").GetProperty("/api/v1/balances").GetProperty("get").GetProperty("security").EnumerateArray();
        Assert.Equal(["bearer", "oidc"], ways.Select(way => way.EnumerateObject().Single().Name));
    }

    [Fact]
    public async Task API_without_a_provider_refuses_tokens_with_a_signature() =>
        (await (await system.ApiAsync()).GetAsync("balances", await external.Provider.TokenAsync(NewSubject()))).MustBe(401, "invalid_token");

    [Fact]
    public async Task Role_of_the_API_in_the_database_cannot_give_a_login_to_an_existing_user_nor_roles_to_a_user_with_a_password()
    {
        var registered = await system.NewUserAsync();
        var subject = NewSubject();
        await using var api = await system.RoleAsync(DatabaseRoles.Api);

        foreach (var sql in (string[])[
            "insert into identity.user_logins (login_provider, provider_key, user_id) values ('p', $1, $2)",
            "update identity.user_logins set user_id = $2 where provider_key = $1",
            "insert into identity.user_roles (user_id, role_id) select $2, id from identity.roles where name <> $1"])
        {
            var denied = await Assert.ThrowsAsync<PostgresException>(() => Books.ExecuteAsync(api, sql, subject, registered.Id));
            Assert.Equal(PostgresErrorCodes.InsufficientPrivilege, denied.SqlState);
        }
        var existing = await Assert.ThrowsAsync<PostgresException>(
            () => Books.ExecuteAsync(api, "select identity.add_login('p', $1, $2, null, null)", subject, registered.Id));
        Assert.Equal(PostgresErrorCodes.UniqueViolation, existing.SqlState);

        var database = await system.DatabaseAsync();
        await Books.ExecuteAsync(database, "insert into identity.user_logins (login_provider, provider_key, user_id) values ('p', $1, $2)", subject, registered.Id);
        await Books.ExecuteAsync(api, "select identity.set_roles_of_login('p', $1, '{operator}', now())", subject);
        Assert.Equal(0, await Books.NumberAsync(database, "select count(*) from identity.user_roles where user_id = $1", registered.Id));
    }

    private async Task<LedgerUser> UserAsync(string subject, params (string Name, object Value)[] claims) =>
        await UserOfAsync(await external.Provider.TokenAsync(subject, claims));

    private async Task<LedgerUser> UserOfAsync(string token)
    {
        var user = new LedgerUser(external.Open, Guid.Empty, "", token);
        return user with { Id = await IdAsync(user) };
    }

    private static async Task<Guid> IdAsync(LedgerUser user) => (await user.GetAsync("identity/me")).MustBe(200).Json.GetProperty("userId").GetGuid();
}
