using Ledger.Core.Currencies;
using Npgsql;

namespace Ledger.Core.Transactions;

/// <summary>Reads decided transactions back, as they were decided.</summary>
public static class TransactionReader
{
    /// <summary>The columns that <see cref="Read"/> expects first, of <c>ledger.transactions t</c>.</summary>
    public const string Columns =
        "t.id, t.kind, t.status, t.owner_id, t.counterparty_id, t.currency, t.amount, t.reference, t.metadata, t.created_at, t.decided_at, t.rejection, t.available";

    /// <summary>The entries of the transactions whose ids are the parameter.</summary>
    // By account and time, the entries' key: on the accounts of those concerned, and on the currency's settlement shards. Each
    // step has its index, or the worker, whose sessions shun sequential scans, would get any plan at all; a subquery with an offset
    // is planned as it stands: for many transactions the planner would read all entries.
    public const string Entries = """
        select e.transaction_id, e.account_id, a.owner_id, e.currency, e.amount, e.balance_after
        from ledger.transactions t
        cross join lateral (
            select id, owner_id from ledger.accounts where owner_id in (t.owner_id, t.counterparty_id) and kind = 'user'
            union all
            select id, owner_id from ledger.accounts where currency = t.currency and kind = 'settlement') a
        cross join lateral (
            select id, transaction_id, account_id, currency, amount, balance_after
            from ledger.entries
            where account_id = a.id and posted_at = t.decided_at and transaction_id = t.id
            offset 0) e
        where t.id = any ($1)
        order by e.id
        """;

    /// <summary>Those of the given transactions that are decided, with all their entries.</summary>
    public static async Task<IReadOnlyList<Transaction>> LoadAsync(
        NpgsqlConnection connection, Guid[] ids, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand($"select {Columns} from ledger.transactions t where t.id = any ($1)")
                {
                    Parameters = { new NpgsqlParameter<Guid[]> { TypedValue = ids } },
                },
                new NpgsqlBatchCommand(Entries)
                {
                    Parameters = { new NpgsqlParameter<Guid[]> { TypedValue = ids } },
                },
            },
        };
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);

        // Transactions first: the entries of one that is seen here are seen by the statement after it.
        var transactions = new List<Transaction>(ids.Length);
        var entries = new Dictionary<Guid, List<Entry>>(ids.Length);
        while (await reader.ReadAsync(cancellationToken))
        {
            var sides = entries[reader.GetGuid(0)] = new(2);
            transactions.Add(Read(reader, sides));
        }

        await reader.NextResultAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            // One that was committed between the two statements is not among them.
            if (entries.TryGetValue(reader.GetGuid(0), out var sides))
            {
                sides.Add(new Entry(
                    reader.GetGuid(1), reader.IsDBNull(2) ? null : reader.GetGuid(2), new Money(reader.GetInt64(4), reader.GetString(3)),
                    reader.IsDBNull(5) ? null : reader.GetInt64(5)));
            }
        }
        return transactions;
    }

    /// <summary>A transaction from a row that starts with <see cref="Columns"/>.</summary>
    public static Transaction Read(NpgsqlDataReader row, IReadOnlyList<Entry> entries)
    {
        if (!TransactionNames.TryParseKind(row.GetString(1), out var kind) || !TransactionNames.TryParseStatus(row.GetString(2), out var status))
            throw new InvalidDataException($"Transaction {row.GetGuid(0)} is of a kind or status that this version does not know.");

        return new Transaction(
            row.GetGuid(0), kind, status, row.GetGuid(3), row.IsDBNull(4) ? null : row.GetGuid(4), new Money(row.GetInt64(6), row.GetString(5)),
            row.IsDBNull(7) ? null : row.GetString(7), row.IsDBNull(8) ? null : row.GetString(8), row.GetDateTime(9), row.GetDateTime(10),
            row.IsDBNull(11) ? null : new Rejection(row.GetString(11), row.IsDBNull(12) ? null : row.GetInt64(12)),
            entries);
    }
}
