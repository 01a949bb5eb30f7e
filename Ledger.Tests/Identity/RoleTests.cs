using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Identity;

/// <summary>A role that is taken away has no effect any more, also in access tokens that were issued with it.</summary>
public sealed class RoleTests(LedgerSystem system)
{
    // A role that is taken away must be refused by every API process within this time. Access tokens last 15 minutes.
    private static readonly TimeSpan Everywhere = TimeSpan.FromSeconds(5);

    [Fact]
    public async Task Role_that_is_revoked_at_the_command_line_ends_at_every_API_and_is_audited()
    {
        var user = await system.NewOperatorAsync();
        var apis = await system.ApisAsync();
        foreach (var api in apis)
            (await user.At(api).GetAsync("admin/users")).MustBe(200);
        Assert.Contains(user.Email, await ListAsync(), StringComparison.Ordinal);

        Assert.Equal(0, (await system.CliAsync("operator", "revoke", "--email", user.Email.ToUpperInvariant())).ExitCode);

        await EndsAsync(user, "admin/users");
        // The session goes on without the role.
        (await user.GetAsync("balances")).MustBe(200);
        var again = (await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password })).MustBe(200);
        (await user.Api.GetAsync("admin/users", again["accessToken"])).MustBe(403, "forbidden");
        Assert.DoesNotContain(user.Email, await ListAsync(), StringComparison.Ordinal);
        Assert.Equal(1, await Books.NumberAsync(
            await system.DatabaseAsync(), "select count(*) from identity.audit where subject = $1 and action = $2 and actor_kind = 'command_line'",
            user.Id.ToString(), AuditActions.RoleRevoked));

        var (exitCode, output) = await system.CliAsync("operator", "revoke", "--email", user.Email);
        Assert.Equal((1, true), (exitCode, output.Any(line => line.Contains(user.Email, StringComparison.Ordinal))));
    }

    [Fact]
    public async Task Role_that_is_deleted_in_the_database_ends_and_another_one_stays()
    {
        var user = await system.NewOperatorAsync();
        var database = await system.DatabaseAsync();
        await Books.ExecuteAsync(database, "insert into identity.user_roles select $1, id from identity.roles where name = 'auditor'", user.Id);
        var login = (await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password })).MustBe(200);
        user = user with { Token = login["accessToken"]! };

        await Books.ExecuteAsync(
            database, "delete from identity.user_roles where user_id = $1 and role_id = (select id from identity.roles where name = 'operator')", user.Id);

        await EndsAsync(user, $"admin/users/{Guid.CreateVersion7()}/freeze");
        (await user.GetAsync("admin/users")).MustBe(200);
    }

    /// <summary>A role is effective at once, although the API processes read roles only once a second.</summary>
    [Fact]
    public async Task Role_that_was_granted_just_before_the_login_is_effective_at_every_API()
    {
        var apis = await system.ApisAsync();
        for (var i = 0; i < 5; i++)
        {
            var user = await system.NewOperatorAsync();
            foreach (var api in apis)
                (await user.At(api).GetAsync("admin/users")).MustBe(200);
        }
    }

    [Theory]
    [InlineData(Roles.Operator)]
    [InlineData(Roles.Auditor)]
    public async Task Operator_gives_a_role_and_takes_it_away_again(string role)
    {
        var @operator = await system.NewOperatorAsync();
        var user = await system.NewUserAsync();
        var path = $"admin/users/{user.Id}/roles/{role}";

        Assert.Contains($"\"{role}\"", (await SetAsync(@operator, HttpMethod.Put)).MustBe(200).Text, StringComparison.Ordinal);
        (await SetAsync(@operator, HttpMethod.Put)).MustBe(200);
        var login = (await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password })).MustBe(200);
        var staff = user with { Token = login["accessToken"]! };
        (await staff.GetAsync("admin/users")).MustBe(200);

        (await SetAsync(@operator, HttpMethod.Delete)).MustBe(200);
        (await SetAsync(@operator, HttpMethod.Delete)).MustBe(200);

        await EndsAsync(staff, "admin/users");
        var acts = (await @operator.GetAsync($"admin/audit?subject={user.Id}&actor={@operator.Id}")).MustBe(200).Json.GetProperty("items").EnumerateArray().ToList();
        Assert.Equal([AuditActions.RoleRevoked, AuditActions.RoleGranted], acts.Select(act => act.GetProperty("action").GetString()));
        Assert.All(acts, act => Assert.Equal(role, act.GetProperty("details").GetProperty("role").GetString()));

        Task<Answer> SetAsync(LedgerUser caller, HttpMethod method) => user.Api.SendAsync(method, path, caller.Token);
    }

    [Fact]
    public async Task Unknown_user_and_unknown_role_are_not_found()
    {
        var @operator = await system.NewOperatorAsync();
        foreach (var path in new[] { $"admin/users/{Guid.CreateVersion7()}/roles/operator", $"admin/users/{@operator.Id}/roles/owner" })
        {
            foreach (var method in new[] { HttpMethod.Put, HttpMethod.Delete })
                (await @operator.Api.SendAsync(method, path, @operator.Token)).MustBe(404, "not_found");
        }
    }

    /// <summary>In a database of its own: the shared one has other operators at all times.</summary>
    [Fact]
    public async Task Last_operator_keeps_the_role()
    {
        await using var owner = await system.FreshLedgerAsync();
        var (one, other) = (await OperatorAsync(), await OperatorAsync());

        // Both at once: one of them is not an operator any more, or is the last one.
        var outcomes = await Task.WhenAll(SetAsync(one, one, given: false), SetAsync(other, other, given: false));
        Assert.Equal(["changed", "last_operator"], outcomes.Order());
        var last = outcomes[0] == "changed" ? other : one;
        Assert.Equal("forbidden", await SetAsync(last == one ? other : one, last, given: false));
        Assert.Equal("last_operator", await SetAsync(last, last, given: false));
        Assert.Equal("last_operator", Assert.Single(await Books.TextsAsync(owner, $"select identity.close_user('{last}', '{last}')")));
        Assert.Equal("forbidden", await SetAsync(Guid.CreateVersion7(), last, given: false));

        async Task<Guid> OperatorAsync()
        {
            var id = Guid.CreateVersion7();
            await Books.ExecuteAsync(owner, $"""
                insert into identity.users (id, user_name, normalized_user_name, email, normalized_email, email_confirmed, security_stamp,
                    concurrency_stamp, phone_number_confirmed, two_factor_enabled, lockout_enabled, access_failed_count)
                values ('{id}', '{id}', '{id}', '{id}', '{id}', false, '', '', false, false, true, 0)
                """);
            await Books.ExecuteAsync(owner, $"insert into identity.user_roles (user_id, role_id) select '{id}', id from identity.roles where name = 'operator'");
            return id;
        }

        async Task<string> SetAsync(Guid actor, Guid user, bool given) => Assert.Single(await Books.TextsAsync(
            owner, $"select identity.set_role('{user}', 'operator', {given}, '{actor}')"));
    }

    // An act is a POST; everything else is read.
    private async Task EndsAsync(LedgerUser user, string path)
    {
        foreach (var api in await system.ApisAsync())
        {
            await Eventually.TrueAsync(
                async () => (await (path.EndsWith("freeze", StringComparison.Ordinal) ? user.At(api).PostAsync(path, "") : user.At(api).GetAsync(path))).Status == 403,
                Everywhere, () => "A role that was taken away is still effective.");
        }
    }

    private async Task<string> ListAsync()
    {
        var (exitCode, output) = await system.CliAsync("operator", "list");
        Assert.Equal(0, exitCode);
        return string.Join('\n', output);
    }
}
