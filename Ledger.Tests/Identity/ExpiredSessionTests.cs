using Ledger.Api.Identity;
using Ledger.Core.Persistence;
using Ledger.Tests.Harness;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Ledger.Tests.Identity;

/// <summary>Expired sessions are deleted by one process at a time, in statements that delete a limited number of rows.</summary>
public sealed class ExpiredSessionTests(LedgerSystem system)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Expired_sessions_and_old_failures_are_deleted_in_limited_steps_and_live_ones_stay()
    {
        const int Tokens = ExpiredSessions.Limit * 2 + 1;
        await using var database = await system.FreshLedgerAsync(DatabaseRoles.Api);
        await FillAsync(database, expired: 3, tokens: Tokens, failures: ExpiredSessions.Limit + 1);
        using var expired = New(database);

        Assert.True(await expired.DeleteSomeAsync(Cancelled));
        // A session waits for its tokens: its foreign key would delete all of them at once. The other two have none.
        Assert.Equal((1, Tokens - ExpiredSessions.Limit, 1), await RowsAsync(database));
        Assert.True(await expired.DeleteSomeAsync(Cancelled));
        Assert.False(await expired.DeleteSomeAsync(Cancelled));
        Assert.False(await expired.DeleteSomeAsync(Cancelled));

        Assert.Equal((0, 0, 0), await RowsAsync(database));
        Assert.Equal((1, 1, 2), await LiveRowsAsync(database));
    }

    [Fact]
    public async Task Two_processes_do_not_delete_at_once()
    {
        await using var database = await system.FreshLedgerAsync(DatabaseRoles.Api);
        await FillAsync(database, expired: 1, tokens: 1, failures: 1);
        using var expired = New(database);

        await using (var connection = await database.OpenConnectionAsync(Cancelled))
        await using (var transaction = await connection.BeginTransactionAsync(Cancelled))
        {
            // As another process does that is in the middle of a step.
            await using var take = new NpgsqlCommand("select pg_advisory_xact_lock(x'65787069726564'::bigint)", connection, transaction);
            await take.ExecuteNonQueryAsync(Cancelled);
            Assert.False(await expired.DeleteSomeAsync(Cancelled));
            Assert.Equal((1, 1, 1), await RowsAsync(database));
        }

        await expired.DeleteSomeAsync(Cancelled);
        Assert.Equal((0, 0, 0), await RowsAsync(database));
    }

    private static ExpiredSessions New(NpgsqlDataSource database) => new(database, TimeProvider.System, NullLogger<ExpiredSessions>.Instance);

    // Beside the expired ones: a live session with a token, a recent failure, and an old one whose lock lasts.
    private static Task<int> FillAsync(NpgsqlDataSource database, int expired, int tokens, int failures) => Books.ExecuteAsync(database, $"""
        with u as (
            insert into identity.users (id, user_name, normalized_user_name, email, normalized_email, email_confirmed, security_stamp,
                concurrency_stamp, phone_number_confirmed, two_factor_enabled, lockout_enabled, access_failed_count)
            values (gen_random_uuid(), 'a@example.com', 'A@EXAMPLE.COM', 'a@example.com', 'A@EXAMPLE.COM', false, '', '', false, false, true, 0) returning id),
        s as (
            insert into identity.sessions (id, user_id, expires_at)
            select gen_random_uuid(), u.id, clock_timestamp() - interval '1 minute' from u, generate_series(1, {expired})
            union all select gen_random_uuid(), u.id, clock_timestamp() + interval '1 hour' from u returning id, expires_at),
        t as (
            insert into identity.refresh_tokens (hash, session_id, spent_at, successor_key)
            select decode(md5(n::text), 'hex'), (select id from s where expires_at < clock_timestamp() limit 1), clock_timestamp(), 'k'::bytea from generate_series(1, {tokens}) n
            union all select decode(md5('live'), 'hex'), id, null, null from s where expires_at > clock_timestamp())
        insert into identity.login_failures (address, failures, last_at, locked_until)
        select decode(md5(n::text), 'hex'), 1, clock_timestamp() - interval '2 days', null::timestamptz from generate_series(1, {failures}) n
        union all select decode(md5('recent'), 'hex'), 1, clock_timestamp(), null
        union all select decode(md5('locked'), 'hex'), 1, clock_timestamp() - interval '2 days', clock_timestamp() + interval '1 hour'
        """);

    private static Task<(long Sessions, long Tokens, long Failures)> RowsAsync(NpgsqlDataSource database) => CountAsync(
        database, "expires_at < clock_timestamp()", "exists (select from identity.sessions s where s.id = session_id and s.expires_at < clock_timestamp())",
        "last_at < clock_timestamp() - interval '1 day' and locked_until is null");

    private static Task<(long Sessions, long Tokens, long Failures)> LiveRowsAsync(NpgsqlDataSource database) => CountAsync(database, "true", "true", "true");

    private static async Task<(long Sessions, long Tokens, long Failures)> CountAsync(NpgsqlDataSource database, string sessions, string tokens, string failures) => (
        await Books.NumberAsync(database, $"select count(*) from identity.sessions where {sessions}"),
        await Books.NumberAsync(database, $"select count(*) from identity.refresh_tokens where {tokens}"),
        await Books.NumberAsync(database, $"select count(*) from identity.login_failures where {failures}"));
}
