using System.Globalization;
using Ledger.Api.Accounts;
using Ledger.Api.Transactions;
using Ledger.Core.Persistence;
using Ledger.Tests.Harness;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Tests.Transactions;

/// <summary>
/// Each filter is an index search in a large table, under row-level security, as role ledger_api: by the plan, and by the number of rows that
/// are read, which also counts those inside of functions.
/// </summary>
public sealed class SearchPlanTests(LedgerSystem system)
{
    private const int Page = 51;

    // Every second transaction is the merchant's; 5,000 others share the rest. Every second one has the reference 'rent', every tenth one a
    // reference of its own and the metadata of an order. Every hundredth one is the merchant's and takes effect 30 days before.
    private const string Fill = """
        set session_replication_role = replica;
        insert into identity.users (id) select md5('user ' || n)::uuid from generate_series(0, 5000) n;
        insert into ledger.currencies (code, name, exponent, enabled) values ('USD', 'US Dollar', 2, true) on conflict do nothing;
        insert into ledger.accounts (id, kind, owner_id, name, currency)
        select md5('account ' || n)::uuid, 'user', md5('user ' || n)::uuid, 'main', 'USD' from generate_series(0, 5000) n;
        create temporary view made as
        select i, md5('transaction ' || i)::uuid as id, n, md5('user ' || n)::uuid as owner_id, md5('account ' || n)::uuid as account_id,
            timestamptz '2026-01-01 00:00:00Z' + i * interval '1 second' as at,
            case when i % 100 = 1 then timestamptz '2025-12-02 00:00:00Z' + i * interval '1 second' end as effective_at
        from (select i, case when i % 4 < 2 then 0 else 1 + (i / 4) % 5000 end as n from generate_series(1, 100000) i) s
        """;

    // In parts: a long transaction would hold up the horizon, for which statements of other tests wait.
    private static string FillPart(int part) => string.Create(CultureInfo.InvariantCulture, $"""
        insert into ledger.transactions (id, kind, status, principal_id, owner_id, account_ids, currency, amount, reference, metadata, created_at, decided_at, effective_at, digest)
        select id, 'deposit', 'posted', owner_id, owner_id, array[account_id], 'USD', i,
            case when i % 2 = 0 then 'rent' when i % 10 = 5 then 'invoice ' || i end,
            case when i % 10 = 5 then json_build_object('order', i::text, 'channel', 'web') end, at, at, effective_at, sha256('')
        from made where i > {part * 5000} and i <= {(part + 1) * 5000};
        insert into ledger.entries (account_id, posted_at, transaction_id, currency, amount, balance_after, effective_at)
        select account_id, at, id, 'USD', i, i, effective_at from made where i > {part * 5000} and i <= {(part + 1) * 5000} order by i
        """);

    private const string EndFill = """
        insert into identity.services (id, name, scopes) values (md5('service')::uuid, 'support', array['read']);
        reset session_replication_role;
        vacuum analyze ledger.transactions, ledger.entries, ledger.accounts
        """;

    [Fact]
    public async Task Every_filter_is_an_index_search_under_row_level_security()
    {
        await using var database = await system.FreshLedgerAsync();
        await using var connection = await database.OpenConnectionAsync(TestContext.Current.CancellationToken);
        string[] fill = [Fill, .. Enumerable.Range(0, 20).Select(FillPart), EndFill];
        foreach (var step in fill.SelectMany(sql => sql.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)))
        {
            await using var execute = new NpgsqlCommand(step, connection) { CommandTimeout = 120 };
            await execute.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        }
        async Task<Guid> IdAsync(string text) => Guid.Parse((await Books.TextsAsync(database, $"select md5('{text}')::uuid::text")).Single());
        var (merchant, small, service) = (await IdAsync("user 0"), await IdAsync("user 7"), await IdAsync("service"));
        var account = await IdAsync("account 0");
        var filter = new TransactionFilter();
        var metadata = filter with { Metadata = """{"order":"5555","channel":"web"}""" };

        // A reference of its own, in a list of 50,000.
        await MustSearchAsync(TransactionQueries.PageOf(merchant, filter with { Reference = "invoice 5005" }, Page), merchant, "transactions_by_reference", found: 1, maxRows: 20);
        await MustSearchAsync(TransactionQueries.PageOfEverybody(filter with { Reference = "invoice 5555" }, Page), null, "transactions_by_reference", found: 1, maxRows: 20);
        // One that 50,000 have: everybody's newest, and a user's few. To tell that it is common takes 1,001 rows.
        await MustSearchAsync(TransactionQueries.PageOfEverybody(filter with { Reference = "rent" }, Page), null, "transactions_by_reference", found: Page, maxRows: 200);
        await MustSearchAsync(TransactionQueries.PageOf(small, filter with { Reference = "rent" }, Page), small, "entries_pkey", found: 5, maxRows: 1200);
        // The newest page of the merchant's 50,000, and of the half of them with one reference, without a sort of all.
        await MustSearchAsync(TransactionQueries.PageOf(merchant, filter, Page), merchant, "entries_pkey", found: Page, maxRows: 250);
        await MustSearchAsync(TransactionQueries.PageOf(merchant, filter with { Reference = "rent" }, Page), merchant, "entries_pkey", found: Page, maxRows: 1400);
        // The index of metadata is inside of the function.
        await MustSearchAsync(TransactionQueries.PageOfEverybody(metadata, Page), null, "transactions_with_metadata", found: 1, maxRows: 20);
        await MustSearchAsync(TransactionQueries.PageOf(small, filter with { Metadata = """{"channel":"web"}""" }, Page), small, "transactions_with_metadata", found: 0, maxRows: 300);
        // Amounts and times along the entries of the account.
        await MustSearchAsync(TransactionQueries.PageOf(small, filter with { Currency = "USD", MinAmount = 1, MaxAmount = 50_000 }, Page), small, "entries_pkey", found: 6, maxRows: 100);
        foreach (var by in Enum.GetValues<TransactionTime>())
        {
            var hour = filter with { From = new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero), To = new(2026, 1, 1, 12, 1, 0, TimeSpan.Zero), By = by };
            await MustSearchAsync(TransactionQueries.PageOf(small, hour, Page), small, "entries_pkey", found: 0, maxRows: 100);
        }
        // By effect: six back-dated ones in ten minutes a month before the first was posted, and 29 plain ones in a minute.
        var month = filter with { From = new(2025, 12, 2, 12, 0, 0, TimeSpan.Zero), To = new(2025, 12, 2, 12, 10, 0, TimeSpan.Zero), By = TransactionTime.Effective };
        await MustSearchAsync(TransactionQueries.PageOf(merchant, month, Page), merchant, "entries_by_effect", found: 6, maxRows: 50);
        var minute = month with { From = new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero), To = new(2026, 1, 1, 12, 1, 0, TimeSpan.Zero) };
        await MustSearchAsync(TransactionQueries.PageOf(merchant, minute, Page), merchant, "entries_pkey", found: 29, maxRows: 150);
        // A page from the middle of a statement, by posting and by effect.
        var statement = new NpgsqlBatchCommand(StatementQueries.Entries)
        {
            Parameters =
            {
                new() { Value = account }, new() { Value = new DateTime(2026, 1, 1, 12, 0, 0, DateTimeKind.Utc), NpgsqlDbType = NpgsqlDbType.TimestampTz }, new() { Value = 0L },
                new() { Value = new DateTime(2026, 2, 1, 0, 0, 0, DateTimeKind.Utc), NpgsqlDbType = NpgsqlDbType.TimestampTz }, new() { Value = Page },
            },
        };
        await MustSearchAsync(statement, merchant, "entries_pkey", found: Page, maxRows: 300);
        foreach (var (from, index) in new[] { (new DateTime(2025, 12, 2, 12, 0, 0, DateTimeKind.Utc), "entries_by_effect"), (new DateTime(2026, 1, 1, 12, 0, 0, DateTimeKind.Utc), "entries_pkey") })
        {
            var byEffect = new NpgsqlBatchCommand(StatementQueries.EntriesByEffect);
            foreach (var parameter in statement.Parameters)
                byEffect.Parameters.Add(((NpgsqlParameter)parameter).Clone());
            byEffect.Parameters.Add(new() { Value = from, NpgsqlDbType = NpgsqlDbType.TimestampTz });
            byEffect.Parameters.Add(new() { Value = new DateTime(2026, 2, 1, 0, 0, 0, DateTimeKind.Utc), NpgsqlDbType = NpgsqlDbType.TimestampTz });
            await MustSearchAsync(byEffect, merchant, index, found: Page, maxRows: 300);
        }

        async Task MustSearchAsync(NpgsqlBatchCommand query, Guid? user, string index, int found, int maxRows)
        {
            await using var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken);
            await using (var settings = new NpgsqlBatch(connection, transaction)
            {
                BatchCommands = { new($"set local role {DatabaseRoles.Api}"), DatabaseRoles.ActFor(user ?? service) },
            })
            {
                if (user is null)
                    settings.BatchCommands.Add(DatabaseRoles.ReadEverything());
                await settings.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
            }
            var plan = string.Join('\n', await RunAsync("explain " + query.CommandText));
            Assert.DoesNotMatch("Seq Scan on (transactions|entries|accounts)", plan);
            Assert.Contains(index, plan, StringComparison.Ordinal);

            var before = await RowsReadAsync();
            Assert.Equal(found, (await RunAsync(query.CommandText)).Count);
            var rows = await RowsReadAsync() - before;
            Assert.True(rows <= maxRows, $"{rows} rows were read, and {found} found:\n{plan}");

            async Task<List<string>> RunAsync(string sql)
            {
                await using var command = new NpgsqlCommand(sql, connection, transaction);
                foreach (NpgsqlParameter parameter in query.Parameters)
                    command.Parameters.Add(parameter.Clone());
                await using var reader = await command.ExecuteReaderAsync(TestContext.Current.CancellationToken);
                var rows = new List<string>();
                while (await reader.ReadAsync(TestContext.Current.CancellationToken))
                    rows.Add(reader.GetValue(0).ToString()!);
                return rows;
            }

            async Task<long> RowsReadAsync()
            {
                await using var command = new NpgsqlCommand(
                    "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_xact_user_tables where relname in ('transactions', 'entries')", connection, transaction);
                return (long)(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken))!;
            }
        }
    }
}
