using Ledger.Core.Identity;
using Ledger.Tests.Harness;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Tests.Identity;

/// <summary>How sessions are refreshed and how they end, at every API process.</summary>
public sealed class SessionTests(LedgerSystem system)
{
    // A token that is revoked at one API process must be refused by the others within this time.
    private static readonly TimeSpan Everywhere = TimeSpan.FromSeconds(5);

    [Fact]
    public async Task Refresh_returns_the_next_pair_of_tokens()
    {
        var (api, email) = await RegisterAsync();
        var first = await LoginAsync(api, email);

        var second = (await RefreshAsync(api, first["refreshToken"]!)).MustBe(200);

        Assert.Equal(("Bearer", true), (second["tokenType"], second.Json.GetProperty("expiresIn").GetInt32() is > 0 and <= 900));
        Assert.NotEqual(first["refreshToken"], second["refreshToken"]);
        (await api.GetAsync("identity/me", first["accessToken"])).MustBe(200);
        (await api.GetAsync("identity/me", second["accessToken"])).MustBe(200);
    }

    /// <summary>The session's row, by which a token is revoked, is deleted when the session expires.</summary>
    [Fact]
    public async Task Access_token_does_not_outlive_its_session()
    {
        var user = await system.NewUserAsync();
        var login = await LoginAsync(user.Api, user.Email);
        await Books.ExecuteAsync(await system.DatabaseAsync(), "update identity.sessions set expires_at = clock_timestamp() + interval '10 s' where user_id = $1", user.Id);

        var last = (await RefreshAsync(user.Api, login["refreshToken"]!)).MustBe(200);

        Assert.InRange(last.Json.GetProperty("expiresIn").GetInt32(), 0, 10);
        await Eventually.TrueAsync(async () => (await user.Api.GetAsync("identity/me", last["accessToken"])).Status == 401);
    }

    [Fact]
    public async Task Reuse_of_a_refresh_token_ends_its_session_only()
    {
        var (api, email) = await RegisterAsync();
        var stolen = await LoginAsync(api, email);
        var other = await LoginAsync(api, email);
        var next = (await RefreshAsync(api, stolen["refreshToken"]!)).MustBe(200);
        await AgeAsync(stolen["refreshToken"]!, "31 seconds");

        (await RefreshAsync(api, stolen["refreshToken"]!)).MustBe(401, "invalid_token");

        (await api.GetAsync("identity/me", stolen["accessToken"])).MustBe(401, "invalid_token");
        (await api.GetAsync("identity/me", next["accessToken"])).MustBe(401, "invalid_token");
        (await RefreshAsync(api, next["refreshToken"]!)).MustBe(401, "invalid_token");
        (await api.GetAsync("identity/me", other["accessToken"])).MustBe(200);
        (await RefreshAsync(api, other["refreshToken"]!)).MustBe(200);
    }

    /// <summary>Two tabs refresh at once, maybe at two API processes.</summary>
    [Fact]
    public async Task Concurrent_refreshes_with_one_token_return_one_successor()
    {
        var apis = await system.ApisAsync();
        var (_, email) = await RegisterAsync();
        var login = await LoginAsync(apis[0], email);

        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => RefreshAsync(apis[i % 2], login["refreshToken"]!)));

        var successor = Assert.Single(answers.Select(answer => answer.MustBe(200)["refreshToken"]).Distinct())!;
        Assert.NotEqual(login["refreshToken"], successor);
        foreach (var (i, answer) in answers.Index())
            (await apis[(i + 1) % 2].GetAsync("identity/me", answer["accessToken"])).MustBe(200);
        (await RefreshAsync(apis[1], successor)).MustBe(200);
        Assert.Equal(0, await Books.NumberAsync(
            await system.DatabaseAsync(), "select count(*) from identity.audit where action = $1 and subject = (select id::text from identity.users where email = $2)",
            AuditActions.RefreshReused, email));
    }

    /// <summary>The client did not receive the answer and sends the request again.</summary>
    [Fact]
    public async Task Refresh_repeated_after_a_lost_answer_returns_the_same_successor_for_30_seconds()
    {
        var apis = await system.ApisAsync();
        var (_, email) = await RegisterAsync();
        var login = await LoginAsync(apis[0], email);
        var lost = (await RefreshAsync(apis[0], login["refreshToken"]!)).MustBe(200);
        await AgeAsync(login["refreshToken"]!, "25 seconds");

        var repeated = (await RefreshAsync(apis[1], login["refreshToken"]!)).MustBe(200);

        Assert.Equal(lost["refreshToken"], repeated["refreshToken"]);
        var next = (await RefreshAsync(apis[1], repeated["refreshToken"]!)).MustBe(200);
        Assert.NotEqual(repeated["refreshToken"], next["refreshToken"]);
    }

    /// <summary>A copy of the tables must be no key to the sessions.</summary>
    [Fact]
    public async Task Database_has_neither_a_token_nor_the_plain_key_of_its_successor()
    {
        var (api, email) = await RegisterAsync();
        var login = await LoginAsync(api, email);
        var next = (await RefreshAsync(api, login["refreshToken"]!)).MustBe(200);
        var spent = (Hash: Secrets.Hash(login["refreshToken"]!), Next: next["refreshToken"]!);

        await using var command = (await system.DatabaseAsync()).CreateCommand("select successor_key from identity.refresh_tokens where hash = $1");
        command.Parameters.Add(new() { Value = spent.Hash });
        var key = (byte[])(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken))!;

        Assert.NotEqual(spent.Next, Secrets.Derive("lr_", key, login["refreshToken"]!));
        Assert.Equal(0, await Books.NumberAsync(
            await system.DatabaseAsync(), "select count(*) from identity.refresh_tokens where position($1::bytea in hash) > 0 or position($1::bytea in successor_key) > 0",
            System.Text.Encoding.UTF8.GetBytes(spent.Next)));
    }

    [Theory]
    [InlineData("update identity.users set frozen_at = clock_timestamp() where id = $1")]
    [InlineData("update identity.sessions set revoked_at = clock_timestamp() where user_id = $1")]
    [InlineData("update identity.sessions set expires_at = clock_timestamp() where user_id = $1")]
    public async Task Spent_token_of_an_ended_session_yields_no_successor(string end)
    {
        var user = await system.NewUserAsync();
        var login = await LoginAsync(user.Api, user.Email);
        (await RefreshAsync(user.Api, login["refreshToken"]!)).MustBe(200);

        await Books.ExecuteAsync(await system.DatabaseAsync(), end, user.Id);

        (await RefreshAsync(user.Api, login["refreshToken"]!)).MustBe(401, "invalid_token");
    }

    [Fact]
    public async Task Refresh_of_a_frozen_user_does_not_spend_the_token()
    {
        var database = await system.DatabaseAsync();
        var user = await system.NewUserAsync();
        var login = await LoginAsync(user.Api, user.Email);

        // The state between a freeze and the end of the sessions.
        await Books.ExecuteAsync(database, "update identity.users set frozen_at = clock_timestamp() where id = $1", user.Id);
        (await RefreshAsync(user.Api, login["refreshToken"]!)).MustBe(401, "invalid_token");
        await Books.ExecuteAsync(database, "update identity.users set frozen_at = null where id = $1", user.Id);

        var next = (await RefreshAsync(user.Api, login["refreshToken"]!)).MustBe(200);
        Assert.Equal(0, await TheftsAsync());
        // The late reuse of a spent token still counts as theft.
        await AgeAsync(login["refreshToken"]!, "31 seconds");
        (await RefreshAsync(user.Api, login["refreshToken"]!)).MustBe(401, "invalid_token");
        (await RefreshAsync(user.Api, next["refreshToken"]!)).MustBe(401, "invalid_token");
        Assert.Equal(1, await TheftsAsync());

        Task<long> TheftsAsync() => Books.NumberAsync(
            database, "select count(*) from identity.audit where subject = $1 and action = $2", user.Id.ToString(), AuditActions.RefreshReused);
    }

    [Theory]
    [InlineData("lr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    [InlineData("' or 1=1 --")]
    [InlineData("\u0000")]
    public async Task Unknown_refresh_token_is_refused(string token) =>
        (await RefreshAsync(await system.ApiAsync(), token)).MustBe(401, "invalid_token");

    [Fact]
    public async Task Refresh_without_a_token_names_the_field() =>
        (await (await system.ApiAsync()).PostAsync("identity/refresh", "{}")).MustBe(400, "validation_failed");

    [Fact]
    public async Task Logout_with_a_refresh_token_ends_its_session_at_every_API()
    {
        var apis = await system.ApisAsync();
        var (api, email) = await RegisterAsync();
        var here = await LoginAsync(api, email);
        var there = await LoginAsync(api, email);

        (await api.PostAsync("identity/logout", new { refreshToken = there["refreshToken"] }, here["accessToken"])).MustBe(204);

        (await apis[0].GetAsync("identity/me", there["accessToken"])).MustBe(401, "invalid_token");
        await RefusedAsync(apis[1], there["accessToken"]!);
        (await RefreshAsync(api, there["refreshToken"]!)).MustBe(401, "invalid_token");
        (await apis[1].GetAsync("identity/me", here["accessToken"])).MustBe(200);
    }

    [Fact]
    public async Task Logout_without_a_body_ends_all_sessions_of_the_user_only()
    {
        var apis = await system.ApisAsync();
        var (api, email) = await RegisterAsync();
        var one = await LoginAsync(api, email);
        var two = await LoginAsync(api, email);
        var neighbour = await system.NewUserAsync();

        using var logout = new HttpRequestMessage(HttpMethod.Post, "/api/v1/identity/logout");
        logout.Headers.Authorization = new("Bearer", one["accessToken"]);
        (await api.SendAsync(logout)).MustBe(204);

        foreach (var token in new[] { one["accessToken"]!, two["accessToken"]! })
        {
            await RefusedAsync(apis[0], token);
            await RefusedAsync(apis[1], token);
        }
        (await neighbour.GetAsync("identity/me")).MustBe(200);
    }

    [Fact]
    public async Task Logout_with_the_refresh_token_of_another_user_is_refused_and_changes_nothing()
    {
        var (api, email) = await RegisterAsync();
        var login = await LoginAsync(api, email);
        var stranger = await system.NewUserAsync();

        (await stranger.PostAsync("identity/logout", new { refreshToken = login["refreshToken"] })).MustBe(401, "invalid_token");

        (await RefreshAsync(api, login["refreshToken"]!)).MustBe(200);
    }

    [Fact]
    public async Task Logout_that_ends_no_session_says_so_and_is_not_audited()
    {
        var database = await system.DatabaseAsync();
        var (api, email) = await RegisterAsync();
        var (mine, other) = (await LoginAsync(api, email), await LoginAsync(api, email));
        var user = (await api.GetAsync("identity/me", mine["accessToken"])).MustBe(200)["userId"]!;

        var latest = (await RefreshAsync(api, other["refreshToken"]!)).MustBe(200)["refreshToken"]!;

        (await LogoutAsync("lr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")).MustBe(401, "invalid_token");
        (await LogoutAsync(other["refreshToken"]!)).MustBe(401, "invalid_token");
        Assert.Equal(0, await SignOutsAsync());
        (await LogoutAsync(latest)).MustBe(204);
        Assert.Equal(1, await SignOutsAsync());
        (await LogoutAsync(latest)).MustBe(401, "invalid_token");
        Assert.Equal(1, await SignOutsAsync());

        Task<Answer> LogoutAsync(string refreshToken) => api.PostAsync("identity/logout", new { refreshToken }, mine["accessToken"]);
        Task<long> SignOutsAsync() => Books.NumberAsync(
            database, "select count(*) from identity.audit where subject = $1 and action = $2", user, AuditActions.SignedOut);
    }

    [Fact]
    public async Task Change_of_the_password_ends_the_other_sessions()
    {
        const string NewPassword = "seven quiet harbours";
        var apis = await system.ApisAsync();
        var (api, email) = await RegisterAsync();
        var mine = await LoginAsync(api, email);
        var theirs = await LoginAsync(api, email);

        (await api.PostAsync("identity/password", new { currentPassword = LedgerApi.Password, newPassword = NewPassword }, mine["accessToken"])).MustBe(204);

        (await api.GetAsync("identity/me", mine["accessToken"])).MustBe(200);
        await RefusedAsync(apis[1], theirs["accessToken"]!);
        (await RefreshAsync(api, theirs["refreshToken"]!)).MustBe(401, "invalid_token");
        (await api.PostAsync("identity/login", new { email, password = LedgerApi.Password })).MustBe(401, "invalid_credentials");
        (await api.PostAsync("identity/login", new { email, password = NewPassword })).MustBe(200);
    }

    [Fact]
    public async Task Password_is_not_changed_if_the_sessions_cannot_be_ended()
    {
        var database = await system.DatabaseAsync();
        var user = await system.NewUserAsync();
        var other = await LoginAsync(user.Api, user.Email);
        await using (await TriggerAsync("update on identity.sessions", $"new.user_id = '{user.Id}'", "raise 'not now'"))
            (await ChangePasswordAsync(user)).MustBe(500);

        (await LoginAsync(user.Api, user.Email)).MustBe(200);
        (await RefreshAsync(user.Api, other["refreshToken"]!)).MustBe(200);
        Assert.Equal(0, await Books.NumberAsync(
            database, "select count(*) from identity.audit where subject = $1 and action = $2", user.Id.ToString(), AuditActions.PasswordChanged));
    }

    /// <summary>The login has checked the old password before the change, and inserts its session after it.</summary>
    [Fact]
    public async Task Login_overtaken_by_a_change_of_the_password_gets_no_session()
    {
        var user = await system.NewUserAsync();
        await using var gate = await GateAsync("insert on identity.sessions", $"new.user_id = '{user.Id}'");

        var login = LoginAsync(user.Api, user.Email);
        await Eventually.TrueAsync(async () => await gate.WaitingAsync() >= 1);
        var change = ChangePasswordAsync(user);
        await Eventually.TrueAsync(async () => change.IsCompleted || await gate.WaitingAsync() >= 2);
        await gate.OpenAsync();

        (await change).MustBe(204);
        await RefusedAsync(user.Api, (await login)["accessToken"]!);
        (await RefreshAsync(user.Api, (await login)["refreshToken"]!)).MustBe(401, "invalid_token");
    }

    /// <summary>Both changes have checked the old password before either of them writes.</summary>
    [Fact]
    public async Task Change_of_the_password_overtaken_by_another_one_fails()
    {
        var one = await system.NewUserAsync();
        var other = one with { Token = (await LoginAsync(one.Api, one.Email))["accessToken"]! };
        var passwords = new[] { "seven quiet harbours", "nine loud mountains" };
        await using var gate = await GateAsync("update on identity.users", $"new.id = '{one.Id}'");

        var changes = Task.WhenAll(ChangePasswordAsync(one, passwords[0]), ChangePasswordAsync(other, passwords[1]));
        await Eventually.TrueAsync(async () => await gate.WaitingAsync() >= 2);
        await gate.OpenAsync();

        var answers = await changes;
        var winner = Array.FindIndex(answers, answer => answer.Status == 204);
        answers[1 - winner].MustBe(401, "invalid_credentials");
        (await one.Api.PostAsync("identity/login", new { email = one.Email, password = passwords[winner] })).MustBe(200);
        (await one.Api.GetAsync("identity/me", winner == 0 ? one.Token : other.Token)).MustBe(200);
        await RefusedAsync(one.Api, winner == 0 ? other.Token : one.Token);
        Assert.Equal(1, await Books.NumberAsync(
            await system.DatabaseAsync(), "select count(*) from identity.audit where subject = $1 and action = $2", one.Id.ToString(), AuditActions.PasswordChanged));
    }

    /// <summary>A login rehashes a password with too few iterations. One of the concurrent logins writes its hash, and the others must accept it.</summary>
    [Fact]
    public async Task Concurrent_logins_that_rehash_the_password_all_succeed()
    {
        const int Logins = 3;
        var user = await system.NewUserAsync();
        await Books.ExecuteAsync(
            await system.DatabaseAsync(), "update identity.users set password_hash = $2 where id = $1",
            user.Id, new PasswordHasher<User>(Options.Create(new PasswordHasherOptions { IterationCount = 1 })).HashPassword(new User(), LedgerApi.Password));
        await using var gate = await GateAsync("update on identity.users", $"new.id = '{user.Id}'");

        var logins = Task.WhenAll(Enumerable.Range(0, Logins).Select(_ => LoginAsync(user.Api, user.Email)));
        await Eventually.TrueAsync(async () => await gate.WaitingAsync() >= Logins);
        await gate.OpenAsync();

        Assert.Equal(Logins, (await logins).Select(login => login["refreshToken"]).Distinct().Count());
    }

    [Fact]
    public async Task Wrong_current_password_counts_as_a_failed_login()
    {
        var user = await system.NewUserAsync();
        Answer answer;
        var attempts = 0;
        do
        {
            answer = await user.PostAsync("identity/password", new { currentPassword = "wrong password", newPassword = "seven quiet harbours" });
            Assert.True(++attempts <= 10, "Ten wrong passwords did not lock the e-mail address.");
        }
        while (answer.Status == 401 && answer.Code == "invalid_credentials");

        answer.MustBe(429, "rate_limited");
    }

    [Fact]
    public async Task Refreshed_session_of_a_new_operator_has_the_role()
    {
        var (api, email) = await RegisterAsync();
        var login = await LoginAsync(api, email);
        (await api.GetAsync("admin/users", login["accessToken"])).MustBe(403, "forbidden");

        await Books.ExecuteAsync(await system.DatabaseAsync(), """
            insert into identity.user_roles (user_id, role_id)
            select u.id, r.id from identity.users u, identity.roles r where u.email = $1 and r.name = 'operator'
            """, email);

        var refreshed = (await RefreshAsync(api, login["refreshToken"]!)).MustBe(200);
        (await api.GetAsync("admin/users", refreshed["accessToken"])).MustBe(200);
    }

    private static Task<Answer> ChangePasswordAsync(LedgerUser user, string newPassword = "seven quiet harbours") =>
        user.PostAsync("identity/password", new { currentPassword = LedgerApi.Password, newPassword });

    /// <summary>A trigger on some rows, which is dropped when it is disposed.</summary>
    private async Task<Trigger> TriggerAsync(string before, string when, string statement)
    {
        var database = await system.DatabaseAsync();
        var name = $"of_a_test_{Guid.NewGuid():N}";
        await Books.ExecuteAsync(database, $"create function identity.{name}() returns trigger language plpgsql as $$ begin {statement}; return new; end $$");
        await Books.ExecuteAsync(database, $"create trigger {name} before {before} for each row when ({when}) execute function identity.{name}()");
        return new Trigger(database, name);
    }

    /// <summary>A trigger in which writers of some rows wait until the gate is opened.</summary>
    private async Task<Gate> GateAsync(string before, string when)
    {
        var number = Random.Shared.NextInt64();
        var trigger = await TriggerAsync(before, when, $"perform pg_advisory_xact_lock_shared({number})");
        var database = await system.DatabaseAsync();
        var connection = await database.OpenConnectionAsync();
        await using var close = new NpgsqlCommand($"select pg_advisory_lock({number})", connection);
        await close.ExecuteNonQueryAsync();
        return new Gate(database, trigger, connection, number);
    }

    private sealed class Trigger(NpgsqlDataSource database, string name) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync() => await Books.ExecuteAsync(database, $"drop function identity.{name}() cascade");
    }

    private sealed class Gate(NpgsqlDataSource database, Trigger trigger, NpgsqlConnection connection, long number) : IAsyncDisposable
    {
        /// <summary>The number of connections that wait for the gate, directly or indirectly.</summary>
        public Task<long> WaitingAsync() => Books.NumberAsync(database, """
            with recursive held (pid) as (
                select $1
                union
                select a.pid from pg_stat_activity a join held h on h.pid = any (pg_blocking_pids(a.pid)))
            select count(*) - 1 from held
            """, connection.ProcessID);

        public async Task OpenAsync()
        {
            await using var open = new NpgsqlCommand($"select pg_advisory_unlock({number})", connection);
            await open.ExecuteNonQueryAsync();
        }

        public async ValueTask DisposeAsync()
        {
            // A failed test must not leave connections waiting.
            await OpenAsync();
            await connection.DisposeAsync();
            await trigger.DisposeAsync();
        }
    }

    // As if a token had been spent that much earlier.
    private async Task AgeAsync(string refreshToken, string by) => Assert.Equal(1, await Books.ExecuteAsync(
        await system.DatabaseAsync(), $"update identity.refresh_tokens set spent_at = spent_at - interval '{by}' where hash = $1", Secrets.Hash(refreshToken)));

    private static Task<Answer> RefreshAsync(LedgerApi api, string refreshToken) => api.PostAsync("identity/refresh", new { refreshToken });

    private static async Task<Answer> LoginAsync(LedgerApi api, string email) =>
        (await api.PostAsync("identity/login", new { email, password = LedgerApi.Password })).MustBe(200);

    private static Task RefusedAsync(LedgerApi api, string token) => Eventually.RefusedAsync(Everywhere, () => api.GetAsync("identity/me", token));

    private async Task<(LedgerApi Api, string Email)> RegisterAsync()
    {
        var user = await system.NewUserAsync();
        return (user.Api, user.Email);
    }
}
