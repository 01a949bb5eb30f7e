using Ledger.Cli.Export;
using Ledger.Cli.Import;
using Ledger.Core.Journal;
using Ledger.Core.Verification;
using Npgsql;

namespace Ledger.Tests.Harness;

/// <summary>Copies of a ledger by <c>ledger export</c> and <c>ledger import</c>, in the process of the tests.</summary>
internal static class LedgerCopy
{
    // Everything that a ledger says of users, accounts and transactions, as one text per row.
    private static readonly string[] s_facts =
    [
        "select concat_ws('|', id, external_id, email, normalized_email, name, metadata, created_at, frozen_at, closed_at) from identity.users order by id",
        "select concat_ws('|', login_provider, provider_key, user_id) from identity.user_logins order by 1",
        "select concat_ws('|', code, name, exponent, enabled) from ledger.currencies order by code",
        // Shards are opened with their currency, which a new database has from the beginning.
        "select (to_jsonb(a) - 'metadata' - case when shard is null then '' else 'opened_at' end)::text || coalesce(metadata::text, '') from ledger.accounts a order by id",
        "select (to_jsonb(t) - 'xact')::text || concat_ws('|', metadata, details) from ledger.transactions t order by id",
        // The statement of each account. Only shards, whose entries say no balance, have entries of several transactions at one time.
        """
        select concat_ws('|', account_id, posted_at, transaction_id, currency, amount, balance_after, effective_at) from ledger.entries
        order by account_id, posted_at, case when balance_after is null then transaction_id end, id
        """,
        "select concat_ws('|', sequence, transaction_id, owner_id) from ledger.journal order by sequence",
        "select concat_ws('|', principal_id, key, request_hash, transaction_id) from ledger.idempotency_keys order by principal_id, key",
        "select closed_until::text from ledger.closing",
    ];

    /// <summary>Seals all that is decided.</summary>
    public static async Task SealAsync(NpgsqlDataSource database)
    {
        await using var connection = await database.OpenConnectionAsync();
        await Eventually.TrueAsync(async () =>
        {
            await Sealer.SealAsync(connection, 1_000, afterRestart: false, CancellationToken.None);
            return await Books.NumberAsync(database, "select (select count(*) from ledger.transactions) - (select count(*) from ledger.journal)") == 0;
        });
    }

    /// <summary>Exports to a file, or goes on with the export in it.</summary>
    public static async Task<ExportReport> ExportAsync(NpgsqlDataSource database, string path)
    {
        await using var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite);
        var begin = await ExportFile.FindAsync(file, 0, CancellationToken.None);
        file.SetLength(begin.Length);
        file.Position = begin.Length;
        return await new ExportRun(database, file).RunAsync(begin, CancellationToken.None);
    }

    public static Task<ImportReport> ImportAsync(NpgsqlDataSource database, string path) => new ImportRun(database, path).RunAsync(CancellationToken.None);

    /// <summary>Fails the test unless both ledgers have the same users, accounts, balances at any time, transactions and journal.</summary>
    public static async Task MustBeSameAsync(NpgsqlDataSource source, NpgsqlDataSource copy)
    {
        foreach (var facts in s_facts)
            Assert.Equal(await Books.TextsAsync(source, facts), await Books.TextsAsync(copy, facts));
        foreach (var time in await Books.TextsAsync(source, "select decided_at::text from (select decided_at, ntile(5) over (order by decided_at) as part from ledger.transactions) t group by part, decided_at order by random() limit 5"))
        {
            var balances = $"""
                select concat_ws('|', account_id, sum(amount) filter (where posted_at <= '{time}'), sum(amount) filter (where coalesce(effective_at, posted_at) <= '{time}'))
                from ledger.entries group by account_id order by account_id
                """;
            Assert.Equal(await Books.TextsAsync(source, balances), await Books.TextsAsync(copy, balances));
        }
        await MustBeSoundAsync(copy);
    }

    /// <summary>Fails the test unless every rule holds, with the journal recomputed from its beginning.</summary>
    public static async Task MustBeSoundAsync(NpgsqlDataSource database)
    {
        await Books.MustBalanceAsync(database);
        var report = await new Verifier(database).VerifyAsync(TimeSpan.FromHours(1), 20, CancellationToken.None, isFull: true);
        Assert.True(report.IsClean, string.Join('\n', report.Results.SelectMany(result => result.Rows.Select(row => $"{result.Check.Name}: {row}"))));
        Assert.Equal(report.Transactions, report.Journal.Sequence);
    }
}

/// <summary>A file that is deleted at the end of a test.</summary>
internal sealed class TemporaryFile : IDisposable
{
    public string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"ledger-{Guid.NewGuid():N}.jsonl");

    public void Dispose() => File.Delete(Path);
}
