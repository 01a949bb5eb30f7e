using System.Diagnostics;
using Ledger.Core.Journal;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Core.Verification;

/// <summary>
/// Checks the whole ledger against its rules, beside any load. It only reads. Each statement has a snapshot of its own, and the longest
/// read the accounts piece by piece: while a snapshot is open, PostgreSQL keeps every row version that is newer, and each posting to a
/// busy account takes longer (decision 11).
/// </summary>
/// <param name="accountsPerPiece">How many accounts one statement reads, with all their entries; more than 1.</param>
public sealed class Verifier(NpgsqlDataSource database, int accountsPerPiece = 1_000)
{
    /// <summary>Runs every check of <see cref="Check.All"/>, and recomputes the journal.</summary>
    /// <param name="isFull">Whether the journal is recomputed from its beginning, or from where the last run found it sound.</param>
    /// <param name="maxPendingAge">How long a command may wait to be decided.</param>
    /// <param name="maxRows">How many breaches of each check are listed; all are counted.</param>
    public async Task<VerificationReport> VerifyAsync(TimeSpan maxPendingAge, int maxRows, CancellationToken cancellationToken, bool isFull = false)
    {
        var started = Stopwatch.GetTimestamp();
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var pieces = await PiecesAsync(connection, cancellationToken);
        var (at, accounts, transactions, entries) = await CountAsync(connection, cancellationToken);
        var results = new List<CheckResult>(Check.All.Count);
        foreach (var check in Check.All)
            results.Add(await RunAsync(connection, check, check.ByAccounts ? pieces : [], maxPendingAge, maxRows, cancellationToken));
        var journal = await new JournalVerifier(database).VerifyAsync(isFull ? 0 : await VerifiedAsync(connection, cancellationToken), maxRows, cancellationToken);
        results.AddRange(journal.Results);
        return new VerificationReport(at, Stopwatch.GetElapsedTime(started), accounts, transactions, entries, results, journal);
    }

    private static async Task<long> VerifiedAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand("select number from ledger.verified", connection);
        return (long)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    private static async Task<(DateTime At, long Accounts, long Transactions, long Entries)> CountAsync(
        NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand("""
            select now(), (select count(*) from ledger.accounts), (select count(*) from ledger.transactions), (select count(*) from ledger.entries)
            """, connection)
        {
            CommandTimeout = 0,
        };
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return (reader.GetDateTime(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetInt64(3));
    }

    private static async Task<CheckResult> RunAsync(
        NpgsqlConnection connection, Check check, IReadOnlyList<Guid> pieces, TimeSpan maxPendingAge, int maxRows, CancellationToken cancellationToken)
    {
        // No timeout: a check takes as long as the ledger is large; the caller's token ends it.
        await using var command = new NpgsqlCommand(
            $"with broken(row) as ({check.Sql}) select row, count(*) over () from broken limit $2", connection)
        {
            CommandTimeout = 0,
            Parameters =
            {
                new NpgsqlParameter<TimeSpan> { TypedValue = maxPendingAge, NpgsqlDbType = NpgsqlDbType.Interval },
                new NpgsqlParameter<int> { TypedValue = maxRows },
            },
        };
        var rows = new List<string>();
        var broken = 0L;
        for (var piece = 0; piece < Math.Max(1, pieces.Count); piece++)
        {
            if (check.ByAccounts)
            {
                while (command.Parameters.Count > 2)
                    command.Parameters.RemoveAt(2);
                command.Parameters.Add(new() { Value = pieces[piece] });
                command.Parameters.Add(new() { Value = piece + 1 < pieces.Count ? pieces[piece + 1] : DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid });
            }
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            for (var isFirst = true; await reader.ReadAsync(cancellationToken); isFirst = false)
            {
                if (isFirst)
                    broken += reader.GetInt64(1);
                if (rows.Count < maxRows)
                    rows.Add(reader.GetString(0));
            }
        }
        return new CheckResult(check, broken, rows);
    }

    // The first id of each piece. The first and the last have no bound, so that every id is in one of them.
    private async Task<IReadOnlyList<Guid>> PiecesAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(
            "select id from (select id, row_number() over (order by id) as place from ledger.accounts) a where place > $1 and place % $1 = 1 order by id", connection)
        {
            CommandTimeout = 0,
            Parameters = { new() { Value = (long)accountsPerPiece } },
        };
        List<Guid> pieces = [Guid.Empty];
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            pieces.Add(reader.GetGuid(0));
        return pieces;
    }
}

/// <summary>What the verifier found.</summary>
/// <param name="At">When it began, by the database's clock, UTC.</param>
/// <param name="Accounts">How many accounts were checked, settlement shards too.</param>
/// <param name="Transactions">How many transactions were checked, rejected ones too.</param>
public sealed record VerificationReport(
    DateTime At, TimeSpan Took, long Accounts, long Transactions, long Entries, IReadOnlyList<CheckResult> Results, JournalReport Journal)
{
    /// <summary>Whether every rule holds.</summary>
    public bool IsClean => Results.All(result => result.Broken == 0);

    /// <summary>How many breaches of the rules of one kind there are.</summary>
    public long Failures(CheckKind kind) => Results.Where(result => result.Check.Kind == kind).Sum(result => result.Broken);
}

/// <summary>What one check found.</summary>
/// <param name="Broken">How many breaches there are.</param>
/// <param name="Rows">The first of them.</param>
public sealed record CheckResult(Check Check, long Broken, IReadOnlyList<string> Rows);
