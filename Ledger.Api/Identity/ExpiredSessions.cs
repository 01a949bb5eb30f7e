using Ledger.ServiceDefaults;
using Npgsql;

namespace Ledger.Api.Identity;

/// <summary>
/// Deletes expired sessions with their refresh tokens, and counts of failed logins that are a day old, once a minute. One API process
/// at a time does so, and each statement deletes a limited number of rows, so that logins and refreshes do not wait.
/// </summary>
public sealed class ExpiredSessions(NpgsqlDataSource database, TimeProvider clock, ILogger<ExpiredSessions> logger)
    : PeriodicService("Deleting expired sessions", TimeSpan.FromMinutes(1), clock, logger)
{
    /// <summary>The largest number of rows that one statement deletes.</summary>
    public const int Limit = 1_000;

    // Of all advisory locks of the database: "expired" in ASCII.
    private const long Lock = 0x65_78_70_69_72_65_64;

    // The tokens of a session first: otherwise their foreign key deletes all of them, and a session has thousands, in one statement.
    // statement_timestamp(), unlike clock_timestamp(), can be searched in an index. A row that another transaction has locked is in use.
    private static readonly string[] s_deletions =
    [
        """
        delete from identity.refresh_tokens where hash in (
            select t.hash from identity.sessions s join identity.refresh_tokens t on t.session_id = s.id
            where s.expires_at < statement_timestamp() limit $1 for update of t skip locked)
        """,
        """
        delete from identity.sessions where id in (
            select s.id from identity.sessions s
            where s.expires_at < statement_timestamp() and not exists (select from identity.refresh_tokens t where t.session_id = s.id)
            limit $1 for update of s skip locked)
        """,
        """
        delete from identity.login_failures where address in (
            select address from identity.login_failures
            where last_at < statement_timestamp() - interval '1 day' and coalesce(locked_until < statement_timestamp(), true)
            limit $1 for update skip locked)
        """,
    ];

    /// <summary>Deletes up to <see cref="Limit"/> rows of each table in one transaction, unless another process is doing so.</summary>
    /// <returns>Whether there may be more.</returns>
    public async Task<bool> DeleteSomeAsync(CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using (var take = new NpgsqlCommand("select pg_try_advisory_xact_lock($1)", connection, transaction) { Parameters = { new() { Value = Lock } } })
        {
            if (!(bool)(await take.ExecuteScalarAsync(cancellationToken))!)
                return false;
        }
        await using var batch = new NpgsqlBatch(connection, transaction);
        var deletions = s_deletions.Select(deletion => new NpgsqlBatchCommand(deletion) { Parameters = { new() { Value = Limit } } }).ToList();
        deletions.ForEach(batch.BatchCommands.Add);
        await batch.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return deletions.Exists(deletion => deletion.RecordsAffected == Limit);
    }

    protected override async Task RunAsync(CancellationToken stoppingToken)
    {
        while (await DeleteSomeAsync(stoppingToken))
        {
        }
    }
}
