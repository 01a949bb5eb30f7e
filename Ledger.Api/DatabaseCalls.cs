using Ledger.Core.Persistence;
using Npgsql;

namespace Ledger.Api;

/// <summary>The two ways in which endpoints speak to the database.</summary>
public static class DatabaseCalls
{
    /// <summary>Runs statements as one transaction, whether the client waits or not.</summary>
    public static async Task ExecuteAsync(this NpgsqlDataSource database, params NpgsqlBatchCommand[] statements)
    {
        await using var batch = database.CreateBatch();
        foreach (var statement in statements)
            batch.BatchCommands.Add(statement);
        await batch.ExecuteNonQueryAsync(CancellationToken.None);
    }

    /// <summary>Does it again where PostgreSQL ended a deadlock with a batch of the worker at its expense.</summary>
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
    /// Runs statements that read for one user, in one round trip: row-level security shows them that user's rows, whatever
    /// they ask for. The reader stands before the first row of the first of them.
    /// </summary>
    public static async Task<NpgsqlDataReader> ReadForAsync(
        this NpgsqlDataSource database, Guid user, CancellationToken cancellationToken, params NpgsqlBatchCommand[] statements)
    {
        // Not disposed here: the reader still reads from it, and gives the connection back when it is disposed.
        var batch = database.CreateBatch();
        batch.BatchCommands.Add(DatabaseRoles.ActFor(user));
        foreach (var statement in statements)
            batch.BatchCommands.Add(statement);
        var reader = await batch.ExecuteReaderAsync(cancellationToken);
        try
        {
            await reader.NextResultAsync(cancellationToken);
            return reader;
        }
        catch
        {
            // The first statement had its result, so that it is here that a failure or a client that has gone shows.
            await reader.DisposeAsync();
            throw;
        }
    }
}
