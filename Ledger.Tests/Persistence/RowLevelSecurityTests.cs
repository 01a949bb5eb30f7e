using Ledger.Core.Persistence;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Persistence;

/// <summary>
/// Queries of the API's database role without the API's own filter (<c>where owner_id = …</c>), and statements that the database roles may
/// not run.
/// </summary>
public sealed class RowLevelSecurityTests(LedgerSystem system)
{
    [Theory]
    [InlineData("select owner_id from ledger.accounts")]
    [InlineData("select a.owner_id from ledger.entries e join ledger.accounts a on a.id = e.account_id")]
    [InlineData("select owner_id from ledger.transactions where recipient_id is null")]
    [InlineData("select principal_id from ledger.idempotency_keys")]
    [InlineData("select owner_id from ledger.pending_commands union all select ledger.caller()")]
    public async Task Query_without_its_filter_shows_only_the_callers_rows(string sql)
    {
        var (one, two) = (await BusyUserAsync(), await BusyUserAsync());
        await using var api = await ApiRoleAsync();

        foreach (var user in new[] { one, two })
            Assert.Equal([user.Id], (await OwnersAsync(api, sql, user.Id)).Distinct());
        Assert.DoesNotContain(await OwnersAsync(api, sql, Guid.CreateVersion7()), owner => owner == one.Id || owner == two.Id);
        Assert.DoesNotContain(await OwnersAsync(api, sql, null), owner => owner == one.Id || owner == two.Id);
    }

    [Fact]
    public async Task Entries_on_another_users_account_are_invisible()
    {
        var (sender, recipient) = (await BusyUserAsync(), await BusyUserAsync());
        var transfer = (await sender.TransferAsync(recipient, "1.00")).MustBe(201).TransactionId;
        await using var api = await ApiRoleAsync();

        Assert.Equal(2, await Books.NumberAsync(await system.DatabaseAsync(), "select count(*) from ledger.entries where transaction_id = $1", transfer));
        Assert.Equal([sender.Id], await OwnersAsync(api, EntriesOf(transfer), sender.Id));
        Assert.Equal([recipient.Id], await OwnersAsync(api, EntriesOf(transfer), recipient.Id));
        Assert.Empty(await OwnersAsync(api, EntriesOf(transfer), Guid.CreateVersion7()));

        static string EntriesOf(Guid transfer) =>
            $"select coalesce(a.owner_id, '00000000-0000-0000-0000-000000000000') from ledger.entries e left join ledger.accounts a on a.id = e.account_id where e.transaction_id = '{transfer}'";
    }

    [Fact]
    public async Task Rejected_transfer_is_invisible_to_the_recipient()
    {
        var (sender, recipient) = (await BusyUserAsync(), await BusyUserAsync());
        var rejected = (await sender.TransferAsync(recipient, "1000.00")).MustBe(422, "insufficient_funds").TransactionId;
        await using var api = await ApiRoleAsync();

        var sql = $"select owner_id from ledger.transactions where id = '{rejected}'";
        Assert.Single(await OwnersAsync(api, sql, sender.Id));
        Assert.Empty(await OwnersAsync(api, sql, recipient.Id));
    }

    [Fact]
    public async Task Caller_of_a_batch_does_not_leak_into_the_next_batch()
    {
        var user = await BusyUserAsync();
        await using var api = await ApiRoleAsync(maxPoolSize: 1);

        Assert.NotEmpty(await OwnersAsync(api, "select owner_id from ledger.accounts", user.Id));
        Assert.Empty(await OwnersAsync(api, "select owner_id from ledger.accounts", null));
        Assert.Equal("ledger_api", await ScalarAsync(api, "select current_user::text"));
    }

    [Theory]
    [InlineData("update ledger.accounts set posted = 1000000")]
    [InlineData("update ledger.accounts set credit_limit = 1000000")]
    [InlineData("select ledger.set_credit_limit(gen_random_uuid(), 1000000)")]
    [InlineData("select ledger.open_house_account(gen_random_uuid(), 'mine', 'USD', 1000000)")]
    [InlineData("select ledger.open_account(gen_random_uuid(), gen_random_uuid(), 'mine', 'USD', null)")]
    [InlineData("select ledger.close_books(now())")]
    [InlineData("update ledger.closing set closed_until = now()")]
    [InlineData("select ledger.lock_closing()")]
    [InlineData("select ledger.seal(1, false)")]
    [InlineData("select ledger.lock_accounts('{}', '{}', '{}')")]
    [InlineData("insert into ledger.journal (sequence, transaction_id) values (1, gen_random_uuid())")]
    [InlineData("insert into ledger.hold_changes (hold_id, transaction_id, change, amount, changed_at) values (gen_random_uuid(), gen_random_uuid(), 'created', 1, now())")]
    [InlineData("insert into ledger.accounts (id, kind, owner_id, currency) values (gen_random_uuid(), 'user', gen_random_uuid(), 'USD')")]
    [InlineData("delete from ledger.transactions")]
    [InlineData("insert into ledger.entries (account_id, posted_at, transaction_id, currency, amount) values (gen_random_uuid(), now(), gen_random_uuid(), 'USD', 1)")]
    [InlineData("update ledger.currencies set exponent = 0")]
    [InlineData("insert into identity.user_roles select u.id, r.id from identity.users u, identity.roles r")]
    [InlineData("update identity.users set email = 'me@example.com'")]
    [InlineData("update identity.users set external_id = 'mine'")]
    [InlineData("update identity.users set closed_at = null")]
    [InlineData("update ledger.accounts set status = 'open'")]
    [InlineData("update identity.users set frozen_at = null")]
    [InlineData("insert into identity.service_keys (id, service_id, hash, expires_at) values (gen_random_uuid(), gen_random_uuid(), 'x', now())")]
    [InlineData("update identity.service_keys set revoked_at = null")]
    [InlineData("delete from identity.audit")]
    [InlineData("update identity.audit set actor_id = null")]
    [InlineData("alter table ledger.accounts disable row level security")]
    [InlineData("create table ledger.mine (id int)")]
    public Task Api_role_cannot(string sql) => RefusedAsync(DatabaseRoles.Api, sql);

    // With the caller set to the attacker: somebody else's money, in the columns or only in the command; another's name on it; and
    // a key of another.
    [Theory]
    [InlineData("attacker", "victim", "withdrawal", "attacker", "victim", PostgresErrorCodes.InsufficientPrivilege)]
    [InlineData("attacker", "attacker", "withdrawal", "attacker", "victim", PostgresErrorCodes.CheckViolation)]
    [InlineData("attacker", "attacker", "withdrawal", "victim", "attacker", PostgresErrorCodes.CheckViolation)]
    [InlineData("victim", "victim", "withdrawal", "victim", "victim", PostgresErrorCodes.InsufficientPrivilege)]
    [InlineData("attacker", "victim", "deposit", "attacker", "victim", PostgresErrorCodes.InsufficientPrivilege)]
    [InlineData("stranger", "attacker", "deposit", "stranger", "attacker", PostgresErrorCodes.InsufficientPrivilege)]
    [InlineData("attacker", null, "withdrawal", "attacker", null, PostgresErrorCodes.InsufficientPrivilege)]
    public async Task Api_role_records_commands_only_of_its_callers_money(
        string principal, string? owner, string kind, string principalInCommand, string? ownerInCommand, string refusal)
    {
        var ids = new Dictionary<string, Guid> { ["victim"] = (await BusyUserAsync()).Id, ["attacker"] = (await BusyUserAsync()).Id, ["stranger"] = Guid.CreateVersion7() };
        await using var api = await ApiRoleAsync();
        var id = Guid.CreateVersion7();
        var command = ownerInCommand is null
            ? $$"""{"id":"{{id}}","kind":"{{kind}}","principalId":"{{ids[principalInCommand]}}"}"""
            : $$"""{"id":"{{id}}","kind":"{{kind}}","principalId":"{{ids[principalInCommand]}}","ownerId":"{{ids[ownerInCommand]}}"}""";

        var refused = await Assert.ThrowsAsync<PostgresException>(() => OwnersAsync(api, $"""
            insert into ledger.pending_commands (id, principal_id, owner_id, version, kind, created_at, command)
            values ('{id}', '{ids[principal]}', {(owner is null ? "null" : $"'{ids[owner]}'")}, 1, '{kind}', now(), '{command}') returning owner_id
            """, ids["attacker"]));

        Assert.Equal(refusal, refused.SqlState);
    }

    [Fact]
    public async Task Api_role_ends_or_retries_failed_commands_only_for_an_operator()
    {
        var user = await BusyUserAsync();
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 0);
        var command = (market with { Currency = "USD" }).Withdrawal(user.Id, 1);
        await PendingCommands.ParkAsync(market.Database, [StoredCommand.Of(command)], TimeSpan.FromHours(1), CancellationToken.None);
        await Books.ExecuteAsync(market.Database, "update ledger.pending_commands set failure = 'x', failed_at = now(), ends_at = now() + interval '1 hour' where id = $1", command.Id);
        await using var api = await ApiRoleAsync();

        var sql = $"update ledger.pending_commands set failure = null, failed_at = null, ends_at = null where id = '{command.Id}' returning owner_id";
        Assert.Empty(await OwnersAsync(api, sql, user.Id));
        Assert.Empty(await OwnersAsync(api, sql, null));
        Assert.Equal(1, await Books.ExecuteAsync(market.Database, "delete from ledger.pending_commands where id = $1 and failure is not null", command.Id));
    }

    [Fact]
    public async Task All_rows_are_visible_only_to_staff_that_asks_for_them()
    {
        var user = await BusyUserAsync();
        await using var api = await ApiRoleAsync();

        Assert.Equal([user.Id], (await OwnersAsync(api, "select set_config('ledger.scope', 'everything', true); select owner_id from ledger.transactions", user.Id)).Distinct());
    }

    [Theory]
    [InlineData(DatabaseRoles.Api, "post_entries", "account_id uuid, id bigint, transaction_id uuid, currency text, amount bigint, balance_after bigint")]
    [InlineData(DatabaseRoles.Worker, "post_entries", "account_id uuid, id bigint, transaction_id uuid, currency text, amount bigint, balance_after bigint")]
    [InlineData(DatabaseRoles.Api, "open_shards", "code text")]
    [InlineData(DatabaseRoles.Worker, "open_shards", "code text")]
    public async Task Roles_cannot_use_the_triggers_of_the_ledger_on_their_own_tables(string role, string function, string columns)
    {
        var refused = await RefusedAsync(role, $"""
            create temp table mine ({columns});
            create trigger mine after insert on mine referencing new table as written for each statement execute function ledger.{function}();
            """);

        Assert.Contains(function, refused.MessageText, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("select password_hash from identity.users")]
    [InlineData("select xml from identity.data_protection_keys")]
    [InlineData("select hash from identity.service_keys")]
    [InlineData("insert into identity.sessions (id, user_id, expires_at) values (gen_random_uuid(), gen_random_uuid(), now())")]
    public Task Worker_role_cannot_access_identity(string sql) => RefusedAsync(DatabaseRoles.Worker, sql);

    [Theory]
    [InlineData("update ledger.accounts set posted = posted + 1")]
    [InlineData("update ledger.accounts set credit_limit = 1")]
    [InlineData("update ledger.accounts set status = 'open'")]
    [InlineData("insert into ledger.accounts (id, kind, owner_id, currency, posted) values (gen_random_uuid(), 'user', gen_random_uuid(), 'USD', 1)")]
    [InlineData("update ledger.accounts set held = 0")]
    [InlineData("delete from ledger.accounts")]
    [InlineData("update ledger.transactions set amount = 1")]
    [InlineData("delete from ledger.entries")]
    public Task Worker_role_moves_balances_only_by_entries(string sql) => RefusedAsync(DatabaseRoles.Worker, sql);

    [Theory]
    [InlineData("update identity.users set frozen_at = null")]
    [InlineData("update identity.users set phone_number_confirmed = true")]
    [InlineData("select id from identity.users for update")]
    [InlineData("insert into ledger.journal (sequence, transaction_id) values (1, gen_random_uuid())")]
    [InlineData("insert into ledger.transactions (id, xact) values (gen_random_uuid(), '1')")]
    [InlineData("update ledger.holds set remaining = 0")]
    [InlineData("update ledger.currencies set exponent = 0")]
    [InlineData("insert into ledger.currencies (code, exponent, name) values ('XXX', 2, 'X')")]
    [InlineData("update ledger.idempotency_keys set transaction_id = gen_random_uuid()")]
    [InlineData("delete from ledger.idempotency_keys")]
    [InlineData("update ledger.pending_commands set command = '{}'")]
    [InlineData("delete from ledger.verifications")]
    public Task Worker_role_cannot_write_other_tables(string sql) => RefusedAsync(DatabaseRoles.Worker, sql);

    [Theory]
    [InlineData("update identity.audit set action = 'nothing'")]
    [InlineData("delete from identity.audit")]
    [InlineData("truncate identity.audit")]
    public async Task Audit_trail_is_append_only_for_its_owner_too(string sql)
    {
        // The login of the new user makes an entry.
        await system.NewUserAsync();

        Assert.Equal(PostgresErrorCodes.RestrictViolation, (await Assert.ThrowsAsync<PostgresException>(
            async () => await Books.ExecuteAsync(await system.DatabaseAsync(), sql))).SqlState);
    }

    private async Task<PostgresException> RefusedAsync(string role, string sql)
    {
        await using var database = await system.RoleAsync(role);

        var refused = await Assert.ThrowsAsync<PostgresException>(() => ScalarAsync(database, sql));

        Assert.Equal(PostgresErrorCodes.InsufficientPrivilege, refused.SqlState);
        return refused;
    }

    private async Task<LedgerUser> BusyUserAsync()
    {
        var user = await system.NewUserAsync();
        (await user.DepositAsync("10.00", key: "first")).MustBe(201);
        (await user.DepositAsync("20.00", "EUR")).MustBe(201);
        return user;
    }

    private Task<NpgsqlDataSource> ApiRoleAsync(int maxPoolSize = 5) => system.RoleAsync(DatabaseRoles.Api, maxPoolSize);

    private static async Task<List<Guid>> OwnersAsync(NpgsqlDataSource database, string sql, Guid? caller)
    {
        await using var batch = database.CreateBatch();
        if (caller is { } user)
            batch.BatchCommands.Add(DatabaseRoles.ActFor(user));
        foreach (var statement in sql.Split(';'))
            batch.BatchCommands.Add(new NpgsqlBatchCommand(statement));
        await using var reader = await batch.ExecuteReaderAsync();
        for (var result = 1; result < batch.BatchCommands.Count; result++)
            await reader.NextResultAsync();
        var owners = new List<Guid>();
        while (await reader.ReadAsync())
        {
            if (!reader.IsDBNull(0))
                owners.Add(reader.GetGuid(0));
        }
        return owners;
    }

    private static async Task<object?> ScalarAsync(NpgsqlDataSource database, string sql)
    {
        await using var command = database.CreateCommand(sql);
        return await command.ExecuteScalarAsync();
    }
}
