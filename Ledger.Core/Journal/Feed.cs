using Ledger.Core.Persistence;
using Ledger.Core.Transactions;
using Npgsql;

namespace Ledger.Core.Journal;

/// <summary>Reads the journal in its order: each decided transaction once, none left out.</summary>
public sealed class Feed(NpgsqlDataSource database)
{
    // Along the entries of each account, which are in the journal's order, and along the transactions without entries. Behind a
    // sequence stands only what was decided after the horizon of its block.
    private const string Own = """
        select p.sequence, p.transaction_id from (
            select j.sequence, j.transaction_id
            from ledger.accounts a
            cross join lateral (
                select j.sequence, j.transaction_id
                from ledger.entries e join ledger.journal j on j.transaction_id = e.transaction_id
                where e.account_id = a.id and e.posted_at > (select ledger.decided_after($2)) and j.sequence > $2
                order by e.posted_at, e.id limit $3) j
            where a.owner_id = $1 and a.kind = 'user'
            union
            (select j.sequence, j.transaction_id from ledger.journal j where j.owner_id = $1 and j.sequence > $2 order by j.sequence limit $3)) p
        order by p.sequence limit $3
        """;

    private const string Everything = """
        select j.sequence, j.transaction_id from ledger.journal j
        where j.sequence > $2 and $1::uuid is not null order by j.sequence limit $3
        """;

    /// <summary>What stands behind a sequence, with those entries that the caller may see.</summary>
    /// <param name="user">The user whose transactions it reads; null if it reads everybody's, which takes a role or the scope to read.</param>
    public async Task<IReadOnlyList<Transaction>> ReadAsync(Guid caller, Guid? user, long after, int limit, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(DatabaseRoles.ActFor(caller, user));
        if (user is null)
            batch.BatchCommands.Add(DatabaseRoles.ReadEverything());
        batch.BatchCommands.Add(new NpgsqlBatchCommand($"""
            with page as materialized ({(user is null ? Everything : Own)})
            select {TransactionReader.Columns} from page join ledger.transactions t on t.id = page.transaction_id order by page.sequence
            """)
        {
            Parameters = { new() { Value = user ?? caller }, new() { Value = after }, new() { Value = limit } },
        });
        var transactions = new List<Transaction>();
        var entries = new Dictionary<Guid, List<Entry>>();
        await using (var reader = await batch.ExecuteReaderAsync(cancellationToken))
        {
            for (var result = 1; result < batch.BatchCommands.Count; result++)
                await reader.NextResultAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
                transactions.Add(TransactionReader.Read(reader, entries[reader.GetGuid(0)] = new(2)));
        }
        if (transactions.Count == 0)
            return transactions;

        batch.BatchCommands.RemoveAt(batch.BatchCommands.Count - 1);
        batch.BatchCommands.Add(new NpgsqlBatchCommand(TransactionReader.Entries) { Parameters = { new() { Value = entries.Keys.ToArray() } } });
        await using (var reader = await batch.ExecuteReaderAsync(cancellationToken))
        {
            for (var result = 1; result < batch.BatchCommands.Count; result++)
                await reader.NextResultAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
                entries[reader.GetGuid(0)].Add(TransactionReader.ReadEntry(reader));
        }
        return transactions;
    }
}
