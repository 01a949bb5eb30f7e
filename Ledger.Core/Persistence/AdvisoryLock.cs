using System.Data;
using Npgsql;

namespace Ledger.Core.Persistence;

/// <summary>
/// An advisory lock of a session, for work that one process does at a time. PostgreSQL releases the lock of a process that dies with its
/// connection.
/// </summary>
public sealed class AdvisoryLock : IAsyncDisposable
{
    private readonly NpgsqlConnection _connection;
    private readonly long _number;

    private AdvisoryLock(NpgsqlConnection connection, long number) => (_connection, _number) = (connection, number);

    /// <summary>Tries to take a lock. Returns null if another session has it.</summary>
    public static async Task<AdvisoryLock?> TryTakeAsync(NpgsqlConnection connection, long number, CancellationToken cancellationToken)
    {
        await using var take = new NpgsqlCommand("select pg_try_advisory_lock($1)", connection) { Parameters = { new() { Value = number } } };
        return await take.ExecuteScalarAsync(cancellationToken) is true ? new AdvisoryLock(connection, number) : null;
    }

    /// <summary>Releases the lock: a connection that returns to its pool would keep it.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_connection.FullState != ConnectionState.Open)
            return;
        await using var release = new NpgsqlCommand("select pg_advisory_unlock($1)", _connection) { Parameters = { new() { Value = _number } } };
        await release.ExecuteNonQueryAsync(CancellationToken.None);
    }
}
