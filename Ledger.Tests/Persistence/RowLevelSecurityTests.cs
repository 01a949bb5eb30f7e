using Ledger.Core.Identity;
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
    [InlineData("update identity.service_keys set hash = 'x'")]
    [InlineData("update identity.services set scopes = '{read,transactions}'")]
    [InlineData("insert into identity.services (id, name, scopes) values (gen_random_uuid(), 'mine', '{transactions}')")]
    [InlineData("delete from identity.service_keys")]
    [InlineData("delete from identity.audit")]
    [InlineData("update identity.audit set actor_id = null")]
    [InlineData("alter table ledger.accounts disable row level security")]
    [InlineData("create table ledger.mine (id int)")]
    public Task Api_role_cannot(string sql) => RefusedAsync(DatabaseRoles.Api, sql);

    // The caller is the attacker. The command names the victim as owner, in the columns or only in its text; or as principal; or takes
    // the victim's idempotency key.
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

    // What a query without its filter would show if the API let such a caller through.
    [Theory]
    [InlineData("select owner_id from ledger.accounts")]
    [InlineData("select a.owner_id from ledger.entries e join ledger.accounts a on a.id = e.account_id")]
    [InlineData("select account_id from ledger.entries")]
    [InlineData("select owner_id from ledger.transactions")]
    [InlineData("select transaction_id from ledger.idempotency_keys")]
    [InlineData("select owner_id from ledger.pending_commands")]
    [InlineData("select transaction_id from ledger.journal")]
    [InlineData("select owner_id from ledger.holds")]
    public async Task Query_without_its_filter_shows_nothing_to_a_caller_who_may_not_read_for_the_user(string sql)
    {
        var user = await BusyUserAsync();
        var deposit = (await user.DepositAsync("1.00")).MustBe(201).TransactionId;
        await using var api = await ApiRoleAsync();
        Guid[] callers =
        [
            (await system.NewUserAsync()).Id, Guid.CreateVersion7(), (await system.NewServiceAsync()).Id,
            (await system.NewServiceAsync(Scopes.Users, Scopes.Transactions, Scopes.Webhooks)).Id, await ClosedServiceAsync(),
        ];

        foreach (var caller in callers)
        {
            Assert.Empty(await OwnersAsync(api, sql, caller, user.Id));
            Assert.Empty(await OwnersAsync(api, $"select set_config('ledger.scope', 'everything', true); {sql}", caller, user.Id));
            Assert.Empty(await OwnersAsync(api, $"select transaction_id from ledger.entries_of_command('{deposit}')", caller, user.Id));
        }
        Assert.Empty(await OwnersAsync(api, $"select set_config('ledger.acts_for', '{user.Id}', true); {sql}", null));
    }

    [Theory]
    [InlineData("select owner_id from ledger.accounts")]
    [InlineData("select a.owner_id from ledger.entries e join ledger.accounts a on a.id = e.account_id")]
    [InlineData("select owner_id from ledger.transactions")]
    public async Task Query_without_its_filter_shows_only_the_users_rows_to_a_caller_who_may_read_for_the_user(string sql)
    {
        var (user, other) = (await BusyUserAsync(), await BusyUserAsync());
        await using var api = await ApiRoleAsync();
        Guid[] callers = [(await system.NewServiceAsync(Scopes.Read)).Id, (await system.NewOperatorAsync()).Id, (await system.NewStaffAsync(Roles.Auditor)).Id];

        foreach (var caller in callers)
        {
            Assert.Equal([user.Id], (await OwnersAsync(api, sql, caller, user.Id)).Distinct());
            Assert.Superset(new HashSet<Guid> { user.Id, other.Id }, (await OwnersAsync(api, $"select set_config('ledger.scope', 'everything', true); {sql}", caller)).ToHashSet());
        }
    }

    [Fact]
    public async Task Api_role_records_commands_and_keys_on_behalf_of_a_user_only_for_a_caller_who_may_move_its_money()
    {
        var (user, other) = (await system.NewUserAsync(), await system.NewUserAsync());
        await using var api = await ApiRoleAsync();
        Guid[] allowed = [(await system.NewServiceAsync(Scopes.Transactions)).Id, (await system.NewOperatorAsync()).Id];
        Guid[] refused =
        [
            (await system.NewUserAsync()).Id, (await system.NewServiceAsync()).Id, (await system.NewServiceAsync(Scopes.Read, Scopes.Users, Scopes.Webhooks)).Id,
            (await system.NewStaffAsync(Roles.Auditor)).Id, await ClosedServiceAsync(),
        ];

        foreach (var caller in allowed)
        {
            var pending = Guid.CreateVersion7();
            // Rolled back: no worker takes it.
            await using var connection = await api.OpenConnectionAsync();
            await using var transaction = await connection.BeginTransactionAsync();
            await using var batch = new NpgsqlBatch(connection)
            {
                BatchCommands = { DatabaseRoles.ActFor(caller, user.Id), new(Pending(caller, user.Id)), new(Pending(caller, null)), new(Key(caller)) },
            };
            await batch.ExecuteNonQueryAsync();
            await transaction.RollbackAsync();
            await MustRefuseAsync(Pending(caller, other.Id), caller, user.Id);
            await MustRefuseAsync(Pending(user.Id, user.Id), caller, user.Id);
            await MustRefuseAsync(Pending(user.Id, null), caller, null);
            await MustRefuseAsync(Key(user.Id), caller, user.Id);
        }
        foreach (var caller in refused)
        {
            await MustRefuseAsync(Pending(caller, user.Id), caller, user.Id);
            await MustRefuseAsync(Pending(caller, user.Id), caller, null);
            await MustRefuseAsync(Pending(caller, null), caller, null);
            await MustRefuseAsync(Pending(caller, null), caller, user.Id);
            await MustRefuseAsync($"select id from ledger.open_account(gen_random_uuid(), '{user.Id}', 'mine', 'USD', null)", caller, user.Id);
            await MustRefuseAsync(Key(caller), caller, user.Id);
        }

        async Task MustRefuseAsync(string sql, Guid caller, Guid? actsFor) => Assert.Equal(
            PostgresErrorCodes.InsufficientPrivilege, (await Assert.ThrowsAsync<PostgresException>(() => OwnersAsync(api, sql, caller, actsFor))).SqlState);

        static string Key(Guid principal) =>
            $"insert into ledger.idempotency_keys (principal_id, key, request_hash, transaction_id) values ('{principal}', '{Guid.NewGuid()}', '\\x0101', gen_random_uuid())";

        static string Pending(Guid principal, Guid? owner)
        {
            var id = Guid.CreateVersion7();
            return $$"""
                insert into ledger.pending_commands (id, principal_id, owner_id, version, kind, created_at, command)
                values ('{{id}}', '{{principal}}', {{(owner is null ? "null" : $"'{owner}'")}}, 1, 'withdrawal', now(),
                    '{"id":"{{id}}","kind":"withdrawal","principalId":"{{principal}}"{{(owner is null ? "" : $",\"ownerId\":\"{owner}\"")}}}')
                """;
        }
    }

    [Fact]
    public async Task Api_role_creates_and_closes_service_accounts_and_keys_only_for_an_operator_and_for_good()
    {
        var service = await system.NewServiceAsync([.. Scopes.All]);
        var @operator = await system.NewOperatorAsync();
        Guid?[] others = [null, service.Id, (await system.NewUserAsync()).Id, (await system.NewStaffAsync(Roles.Auditor)).Id];
        await using var api = await ApiRoleAsync();
        var insert = $"insert into identity.service_keys (id, service_id, hash, expires_at) values (gen_random_uuid(), '{service.Id}', sha256(gen_random_uuid()::text::bytea), now() + interval '1 day')";
        var revoke = $"update identity.service_keys set revoked_at = now() where service_id = '{service.Id}'";
        var close = $"update identity.services set closed_at = now() where id = '{service.Id}' returning id";
        var reopen = $"update identity.services set closed_at = null where id = '{service.Id}' returning id";

        foreach (var other in others)
        {
            foreach (var sql in new[] { insert, revoke })
                Assert.Equal(PostgresErrorCodes.InsufficientPrivilege, (await Assert.ThrowsAsync<PostgresException>(() => OwnersAsync(api, sql, other))).SqlState);
            Assert.Empty(await OwnersAsync(api, close, other));
        }
        await OwnersAsync(api, $"{insert}; {revoke}", @operator.Id);
        Assert.Single(await OwnersAsync(api, close, @operator.Id));
        Assert.Empty(await OwnersAsync(api, reopen, @operator.Id));
        await OwnersAsync(api, $"update identity.service_keys set revoked_at = null where service_id = '{service.Id}'", @operator.Id);
        Assert.Equal(0, await Books.NumberAsync(await system.DatabaseAsync(), "select count(*) from identity.service_keys where service_id = $1 and revoked_at is null", service.Id));
    }

    private async Task<Guid> ClosedServiceAsync()
    {
        var service = await system.NewServiceAsync([.. Scopes.All]);
        await Books.ExecuteAsync(await system.DatabaseAsync(), "update identity.services set closed_at = clock_timestamp() where id = $1", service.Id);
        return service.Id;
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
    [InlineData("select scopes from identity.services")]
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

    private static async Task<List<Guid>> OwnersAsync(NpgsqlDataSource database, string sql, Guid? caller, Guid? actsFor = null)
    {
        await using var batch = database.CreateBatch();
        if (caller is { } id)
            batch.BatchCommands.Add(DatabaseRoles.ActFor(id, actsFor));
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
