using Ledger.Core.Persistence;
using Npgsql;

namespace Ledger.Core.Journal;

/// <summary>
/// What shows that a transaction has its place in the journal: its digest, its block, and the digests of the others in that block. With
/// them a reader recomputes the block's hash, and compares it with one that was published.
/// </summary>
/// <param name="Digest">SHA-256 over the canonical form of the transaction and its entries.</param>
/// <param name="Before">The digests that stand before it in its block, in order.</param>
/// <param name="After">The digests that stand behind it in its block, in order.</param>
public sealed record JournalProof(
    long Sequence, Guid TransactionId, byte[] Digest, JournalBlock Block, IReadOnlyList<byte[]> Before, IReadOnlyList<byte[]> After)
{
    /// <summary>The proof for a place in the journal, for a caller who is staff; null if nothing is sealed there.</summary>
    public static async Task<JournalProof?> ReadAsync(NpgsqlDataSource database, Guid caller, long sequence, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(DatabaseRoles.ActFor(caller));
        batch.BatchCommands.Add(DatabaseRoles.ReadEverything());
        batch.BatchCommands.Add(new NpgsqlBatchCommand("""
            select b.number, b.first_sequence, b.last_sequence, b.sealed_at, b.previous, b.hash
            from ledger.blocks b where b.last_sequence >= $1 and b.first_sequence <= $1 order by b.last_sequence limit 1
            """)
        {
            Parameters = { new() { Value = sequence } },
        });
        batch.BatchCommands.Add(new NpgsqlBatchCommand("""
            with block as materialized (
                select b.first_sequence, b.last_sequence from ledger.blocks b
                where b.last_sequence >= $1 and b.first_sequence <= $1 order by b.last_sequence limit 1)
            select j.sequence, t.id, t.digest
            from block b
            join ledger.journal j on j.sequence between b.first_sequence and b.last_sequence
            join ledger.transactions t on t.id = j.transaction_id
            order by j.sequence
            """)
        {
            Parameters = { new() { Value = sequence } },
        });
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        for (var result = 1; result < batch.BatchCommands.Count - 1; result++)
            await reader.NextResultAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return null;
        var block = new JournalBlock(
            reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetDateTime(3), reader.GetFieldValue<byte[]>(4), reader.GetFieldValue<byte[]>(5));
        await reader.NextResultAsync(cancellationToken);
        var (before, after) = (new List<byte[]>(), new List<byte[]>());
        (Guid Id, byte[] Digest)? own = null;
        while (await reader.ReadAsync(cancellationToken))
        {
            var digest = reader.GetFieldValue<byte[]>(2);
            if (reader.GetInt64(0) == sequence)
                own = (reader.GetGuid(1), digest);
            else
                (own is null ? before : after).Add(digest);
        }
        return own is { } found ? new JournalProof(sequence, found.Id, found.Digest, block, before, after) : null;
    }
}

/// <summary>A block of the journal.</summary>
/// <param name="Number">From 1, without gaps.</param>
/// <param name="First">Its first sequence.</param>
/// <param name="Last">Its last sequence.</param>
/// <param name="SealedAt">UTC.</param>
/// <param name="Previous">The hash of the block before; zeros before the first.</param>
/// <param name="Hash">SHA-256 over the block.</param>
public sealed record JournalBlock(long Number, long First, long Last, DateTime SealedAt, byte[] Previous, byte[] Hash);
