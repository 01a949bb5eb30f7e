using System.Security.Cryptography;
using System.Text;
using Ledger.Core.Transactions;
using Ledger.Core.Verification;
using Npgsql;

namespace Ledger.Core.Journal;

/// <summary>
/// Recomputes the journal block by block: the digest of each transaction from its columns and entries, and the hash of each block from
/// the digests and the previous block. Each block is a query of its own, so that a long journal holds no snapshot open.
/// </summary>
public sealed class JournalVerifier(NpgsqlDataSource database)
{
    /// <summary>The rules, as results name them.</summary>
    public static Check Chain { get; } = new("journal-chain", CheckKind.Money, "Each block of the journal follows the one before it, and its hash is that of its transactions.", "");

    /// <inheritdoc cref="Chain"/>
    public static Check Digest { get; } = new("journal-digest", CheckKind.Money, "Each sealed transaction, with its entries, is as it was when it was decided.", "");

    /// <summary>The hash before the first block: 32 zero bytes.</summary>
    public static readonly byte[] Genesis = new byte[SHA256.HashSizeInBytes];

    /// <summary>Verifies the blocks after one that was verified before.</summary>
    /// <param name="after">The number of that block; 0 verifies the whole journal.</param>
    /// <param name="maxRows">The largest number of listed violations per rule; all are counted.</param>
    public async Task<JournalReport> VerifyAsync(long after, int maxRows, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var (chain, digest) = (new Breaches(maxRows), new Breaches(maxRows));
        var previous = after == 0 ? new Block(0, 0, 0, [], Genesis) : await ReadBlockAsync(connection, after, cancellationToken) ?? new Block(after, 0, 0, [], []);
        var sound = previous.Number;
        while (await ReadBlockAsync(connection, previous.Number + 1, cancellationToken) is { } block)
        {
            if (!block.Previous.AsSpan().SequenceEqual(previous.Hash) || block.First != previous.Last + 1)
                chain.Add($"block {block.Number} does not follow block {previous.Number}");
            var digests = await VerifyTransactionsAsync(connection, block, chain, digest, cancellationToken);
            if (!block.Hash.AsSpan().SequenceEqual(HashOf(block, digests)))
                chain.Add($"block {block.Number} ({block.First} to {block.Last}) has another hash than its transactions");
            if (chain.Count + digest.Count == 0)
                sound = block.Number;
            previous = block;
        }
        await FindMissingAsync(connection, previous, chain, cancellationToken);
        return new JournalReport(sound, previous.Last, [chain.ToResult(Chain), digest.ToResult(Digest)]);
    }

    /// <summary>The hash of a block, as <c>ledger.block_hash</c> computes it.</summary>
    public static byte[] HashOf(long number, long first, long last, byte[] previous, byte[] digests) =>
        SHA256.HashData([.. Encoding.UTF8.GetBytes($"ledger block 1\n{number}\n{first}\n{last}\n"), .. previous, .. digests]);

    private static byte[] HashOf(Block block, byte[] digests) => HashOf(block.Number, block.First, block.Last, block.Previous, digests);

    // The stored digests, in order.
    private static async Task<byte[]> VerifyTransactionsAsync(
        NpgsqlConnection connection, Block block, Breaches chain, Breaches digest, CancellationToken cancellationToken)
    {
        var sealedOnes = new List<(long Sequence, Guid Id, byte[]? Digest)>();
        await using (var list = new NpgsqlCommand("""
            select j.sequence, j.transaction_id, t.digest from ledger.journal j left join ledger.transactions t on t.id = j.transaction_id
            where j.sequence between $1 and $2 order by j.sequence
            """, connection) { CommandTimeout = 0, Parameters = { new() { Value = block.First }, new() { Value = block.Last } } })
        await using (var reader = await list.ExecuteReaderAsync(cancellationToken))
        {
            while (await reader.ReadAsync(cancellationToken))
                sealedOnes.Add((reader.GetInt64(0), reader.GetGuid(1), reader.IsDBNull(2) ? null : reader.GetFieldValue<byte[]>(2)));
        }
        for (var i = 0; i < sealedOnes.Count; i++)
        {
            if (sealedOnes[i].Sequence != block.First + i)
            {
                chain.Add($"block {block.Number} has no transaction at {block.First + i}");
                break;
            }
        }

        var stored = (await TransactionReader.LoadAsync(connection, [.. sealedOnes.Select(item => item.Id)], cancellationToken)).ToDictionary(transaction => transaction.Id);
        var canonical = new CanonicalWriter();
        var digests = new byte[sealedOnes.Count * SHA256.HashSizeInBytes];
        foreach (var (at, (sequence, id, written)) in sealedOnes.Index())
        {
            if (!stored.TryGetValue(id, out var transaction) || written is null)
            {
                digest.Add($"transaction {id} at {sequence} is missing");
                continue;
            }
            written.CopyTo(digests, at * SHA256.HashSizeInBytes);
            if (!TransactionDigest.Of(transaction, canonical).AsSpan().SequenceEqual(written))
                digest.Add($"transaction {id} at {sequence}, or one of its entries, is not as it was decided");
        }
        return digests;
    }

    private static async Task FindMissingAsync(NpgsqlConnection connection, Block last, Breaches chain, CancellationToken cancellationToken)
    {
        await using var find = new NpgsqlCommand("""
            select (select max(number) from ledger.blocks where number > $1),
                (select min(sequence) from ledger.journal where sequence > coalesce((select max(last_sequence) from ledger.blocks), 0))
            """, connection) { CommandTimeout = 0, Parameters = { new() { Value = last.Number } } };
        await using var reader = await find.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        if (!reader.IsDBNull(0))
            chain.Add($"block {last.Number + 1} is missing, but there is block {reader.GetInt64(0)}");
        if (!reader.IsDBNull(1))
            chain.Add($"the journal has {reader.GetInt64(1)} in no block");
    }

    private static async Task<Block?> ReadBlockAsync(NpgsqlConnection connection, long number, CancellationToken cancellationToken)
    {
        await using var read = new NpgsqlCommand("select number, first_sequence, last_sequence, previous, hash from ledger.blocks where number = $1", connection)
        {
            Parameters = { new() { Value = number } },
        };
        await using var reader = await read.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? new Block(reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetFieldValue<byte[]>(3), reader.GetFieldValue<byte[]>(4))
            : null;
    }

    private sealed record Block(long Number, long First, long Last, byte[] Previous, byte[] Hash);

    private sealed class Breaches(int maxRows)
    {
        private readonly List<string> _rows = [];

        public long Count { get; private set; }

        public void Add(string row)
        {
            if (Count++ < maxRows)
                _rows.Add(row);
        }

        public CheckResult ToResult(Check check) => new(check, Count, _rows);
    }
}

/// <summary>The result of a verification of the journal.</summary>
/// <param name="SoundBlock">The last block before the first violation.</param>
/// <param name="Sequence">The last verified sequence.</param>
public sealed record JournalReport(long SoundBlock, long Sequence, IReadOnlyList<CheckResult> Results);
