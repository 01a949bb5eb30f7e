using Npgsql;

namespace Ledger.Core.Journal;

/// <summary>
/// Seals decided transactions into the journal, one block at a time. The function <c>ledger.seal</c> selects and orders them and chains
/// the blocks. One sealer works at a time: it holds an advisory lock of its session.
/// </summary>
public static class Sealer
{
    /// <summary>The number of the advisory lock, which <c>ledger.seal</c> uses too: "seal" in ASCII.</summary>
    public const long Lock = 0x7365616C;

    /// <summary>Seals final transactions as one block of at most <paramref name="atMost"/>.</summary>
    /// <param name="afterRestart">Whether to include transactions of a restored dump, whose ids this cluster has not assigned yet.</param>
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

/// <summary>The result of one call.</summary>
/// <param name="LastSequence">The journal's last sequence; null if another session was sealing.</param>
/// <param name="Waiting">The age of the oldest decided transaction that is not sealed; zero if there is none.</param>
public readonly record struct Sealed(int Count, long? LastSequence, TimeSpan Waiting);
