using System.Data;
using System.Diagnostics;
using Ledger.Core.Journal;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Core.Verification;

/// <summary>
/// Holds the whole ledger against its rules, in one snapshot of the database, so that it may run beside any load. It only
/// reads.
/// </summary>
public sealed class Verifier(NpgsqlDataSource database)
{
    /// <summary>Runs every check of <see cref="Check.All"/>, and recomputes the journal.</summary>
    /// <param name="isFull">Whether the journal is recomputed from its beginning, or from where the last run found it sound.</param>
    /// <param name="maxPendingAge">How long a command may wait to be decided.</param>
    /// <param name="maxRows">How many breaches of each check are listed; all are counted.</param>
    public async Task<VerificationReport> VerifyAsync(TimeSpan maxPendingAge, int maxRows, CancellationToken cancellationToken, bool isFull = false)
    {
        var started = Stopwatch.GetTimestamp();
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        // Repeatable read: all statements see the database as it was at the first one.
        await using var snapshot = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancellationToken);
        await using (var readOnly = new NpgsqlCommand("set transaction read only", connection, snapshot))
            await readOnly.ExecuteNonQueryAsync(cancellationToken);

        var (at, accounts, transactions, entries) = await CountAsync(connection, cancellationToken);
        var results = new List<CheckResult>(Check.All.Count);
        foreach (var check in Check.All)
            results.Add(await RunAsync(connection, check, maxPendingAge, maxRows, cancellationToken));
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
        NpgsqlConnection connection, Check check, TimeSpan maxPendingAge, int maxRows, CancellationToken cancellationToken)
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
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            rows.Add(reader.GetString(0));
            broken = reader.GetInt64(1);
        }
        return new CheckResult(check, broken, rows);
    }
}

/// <summary>What the verifier found.</summary>
/// <param name="At">The moment of the snapshot, by the database's clock, UTC.</param>
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
