using Npgsql;

namespace Ledger.Core.Journal;

/// <summary>
/// Seals decided transactions into the journal, one block at a time: <c>ledger.seal</c> says which, in one order that never
/// changes, and chains the blocks. One sealer works at a time; it has a session's advisory lock.
/// </summary>
public static class Sealer
{
    /// <summary>Of all advisory locks of the database, and of <c>ledger.seal</c>: "seal" in ASCII.</summary>
    public const long Lock = 0x7365616C;

    /// <summary>Takes the lock, which the session keeps until it ends. False if another session has it.</summary>
    public static async Task<bool> TryLockAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var take = new NpgsqlCommand("select pg_try_advisory_lock($1)", connection) { Parameters = { new() { Value = Lock } } };
        return await take.ExecuteScalarAsync(cancellationToken) is true;
    }

    /// <summary>Seals what is final, up to a bound.</summary>
    /// <param name="afterRestart">Whether to look for transactions of a restored dump too, whose ids this cluster has not had yet.</param>
    public static async Task<Sealed> SealAsync(NpgsqlConnection connection, int atMost, bool afterRestart, CancellationToken cancellationToken)
    {
        await using var seal = new NpgsqlCommand("select sealed, last_sequence, waiting from ledger.seal($1, $2)", connection)
        {
            Parameters = { new() { Value = atMost }, new() { Value = afterRestart } },
        };
        await using var reader = await seal.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? new Sealed(reader.GetInt32(0), reader.GetInt64(1), reader.IsDBNull(2) ? TimeSpan.Zero : reader.GetTimeSpan(2))
            : new Sealed(0, null, TimeSpan.Zero);
    }
}

/// <summary>What one call sealed.</summary>
/// <param name="LastSequence">The journal's last sequence; null if another session was sealing.</param>
/// <param name="Waiting">How old the oldest transaction is that is decided and not sealed; zero if there is none.</param>
public readonly record struct Sealed(int Count, long? LastSequence, TimeSpan Waiting);
