using Ledger.Core.Currencies;
using Npgsql;

namespace Ledger.Core.Transactions;

/// <summary>Reads decided transactions back, as they were decided.</summary>
public static class TransactionReader
{
    /// <summary>The columns that <see cref="Read"/> expects first, of <c>ledger.transactions t</c>.</summary>
    public const string Columns = """
        t.id, t.kind, t.status, t.principal_id, t.owner_id, t.recipient_id, t.currency, t.amount, t.reference, t.metadata, t.created_at, t.decided_at,
        t.rejection, t.available, t.rejection_index, t.failure, t.details, t.effective_at, t.reverses, t.hold_id,
        (select j.sequence from ledger.journal j where j.transaction_id = t.id),
        (select r.id from ledger.transactions r where r.reverses = t.id and r.status = 'posted')
        """;

    /// <summary>The entries of the transactions whose ids are the parameter, each with the id of its transaction first.</summary>
    // By account and time, the entries' key. A subquery with an offset is planned as it stands: for many transactions the planner
    // would read all entries.
    public const string Entries = """
        select e.transaction_id, e.account_id, a.owner_id, e.currency, e.amount, e.balance_after
        from ledger.transactions t
        cross join lateral unnest(t.account_ids) i(account_id)
        cross join lateral (
            select id, transaction_id, account_id, currency, amount, balance_after
            from ledger.entries
            where account_id = i.account_id and posted_at = t.decided_at and transaction_id = t.id and effective_at is not distinct from t.effective_at
            offset 0) e
        left join ledger.accounts a on a.id = e.account_id
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
                sides.Add(ReadEntry(reader));
        }
        return transactions;
    }

    /// <summary>A transaction from a row that starts with <see cref="Columns"/>.</summary>
    public static Transaction Read(NpgsqlDataReader row, IReadOnlyList<Entry> entries)
    {
        if (!TransactionNames.TryParseStatus(row.GetString(2), out var status))
            throw new InvalidDataException($"Transaction {row.GetGuid(0)} has status {row.GetString(2)}, which this version does not know.");

        return new Transaction
        {
            Id = row.GetGuid(0),
            Kind = row.GetString(1),
            Status = status,
            PrincipalId = row.GetGuid(3),
            OwnerId = row.IsDBNull(4) ? null : row.GetGuid(4),
            RecipientId = row.IsDBNull(5) ? null : row.GetGuid(5),
            Amount = new Money(row.IsDBNull(7) ? 0 : row.GetInt64(7), row.IsDBNull(6) ? "" : row.GetString(6)),
            Reference = row.IsDBNull(8) ? null : row.GetString(8),
            Metadata = row.IsDBNull(9) ? null : row.GetString(9),
            CreatedAt = row.GetDateTime(10),
            DecidedAt = row.GetDateTime(11),
            Details = row.IsDBNull(16) ? null : row.GetString(16),
            EffectiveAt = row.IsDBNull(17) ? null : row.GetDateTime(17),
            Reverses = row.IsDBNull(18) ? null : row.GetGuid(18),
            HoldId = row.IsDBNull(19) ? null : row.GetGuid(19),
            Rejection = row.IsDBNull(12)
                ? null
                : new Rejection(
                    row.GetString(12), row.IsDBNull(13) ? null : row.GetInt64(13), row.IsDBNull(14) ? null : row.GetInt16(14),
                    row.IsDBNull(16) ? null : TransactionDetails.Parse(row.GetString(16))?.Required),
            Failure = row.IsDBNull(15) ? null : row.GetString(15),
            Sequence = row.IsDBNull(20) ? null : row.GetInt64(20),
            ReversedBy = row.IsDBNull(21) ? null : row.GetGuid(21),
            Entries = entries,
        };
    }

    /// <summary>An entry from a row of <see cref="Entries"/>.</summary>
    public static Entry ReadEntry(NpgsqlDataReader row) => new(
        row.GetGuid(1), row.IsDBNull(2) ? null : row.GetGuid(2), new Money(row.GetInt64(4), row.GetString(3)), row.IsDBNull(5) ? null : row.GetInt64(5));
}
