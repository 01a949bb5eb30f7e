using Ledger.Api.Identity;
using Ledger.Core.Persistence;
using Npgsql;

namespace Ledger.Api;

/// <summary>Batches of statements, as endpoints run them.</summary>
public static class DatabaseCalls
{
    /// <summary>Runs statements as one transaction. A client that disconnects does not cancel them.</summary>
    public static async Task ExecuteAsync(this NpgsqlDataSource database, params NpgsqlBatchCommand[] statements)
    {
        await using var batch = database.CreateBatch();
        foreach (var statement in statements)
            batch.BatchCommands.Add(statement);
        await batch.ExecuteNonQueryAsync(CancellationToken.None);
    }

    /// <summary>Runs <paramref name="act"/> again if it was the victim of a deadlock with a batch of the worker.</summary>
    public static async Task AgainAfterDeadlockAsync(Func<Task> act)
    {
        const int Tries = 5;
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await act();
                return;
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.DeadlockDetected && attempt < Tries)
            {
            }
        }
    }

    /// <summary>
    /// Runs statements that read for one user, in one round trip; row-level security limits them to that user's rows, if the caller
    /// may read them. The reader stands before the first row of the first statement.
    /// </summary>
    public static Task<NpgsqlDataReader> ReadForAsync(
        this NpgsqlDataSource database, Acting acting, CancellationToken cancellationToken, params NpgsqlBatchCommand[] statements) =>
        ReadAsync(database, [DatabaseRoles.ActFor(acting.Caller, acting.User)], statements, cancellationToken);

    /// <summary>Runs statements that read everybody's rows, like <see cref="ReadForAsync"/>; they find none if the caller may not read for others.</summary>
    public static Task<NpgsqlDataReader> ReadEverythingAsync(
        this NpgsqlDataSource database, Guid caller, CancellationToken cancellationToken, params NpgsqlBatchCommand[] statements) =>
        ReadAsync(database, [DatabaseRoles.ActFor(caller), DatabaseRoles.ReadEverything()], statements, cancellationToken);

    private static async Task<NpgsqlDataReader> ReadAsync(
        NpgsqlDataSource database, NpgsqlBatchCommand[] settings, NpgsqlBatchCommand[] statements, CancellationToken cancellationToken)
    {
        // Not disposed here: the reader uses the batch, and returns the connection when it is disposed.
        var batch = database.CreateBatch();
        foreach (var statement in settings.Concat(statements))
            batch.BatchCommands.Add(statement);
        var reader = await batch.ExecuteReaderAsync(cancellationToken);
        try
        {
            foreach (var _ in settings)
                await reader.NextResultAsync(cancellationToken);
            return reader;
        }
        catch
        {
            // Errors of the later statements, and a cancellation, surface here, after the reader exists.
            await reader.DisposeAsync();
            throw;
        }
    }
}
