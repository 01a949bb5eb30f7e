using System.Text;
using Ledger.Core.Transactions;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Core.Posting;

/// <summary>What a batch writes, column by column: each table gets one statement, whatever the number of commands.</summary>
internal sealed class Batch(int capacity)
{
    private readonly List<Command> _decided = new(capacity);
    private readonly List<Transaction> _outcomes = new(capacity);
    private readonly List<Guid> _answered = new(capacity);
    private readonly CanonicalWriter _canonical = new();
    private int _entries;
    // Whether a transaction has what plain ones do not have.
    private bool _hasFurther;
    private bool _hasEffect;

    private const string PlainColumns = """
        id, kind, status, principal_id, owner_id, recipient_id, account_ids, currency, amount, reference, metadata, created_at, decided_at,
        rejection, available, rejection_index, digest
        """;
    private const string FurtherColumns = ", details, effective_at, reverses, hold_id";
    private static readonly string PlainInsert = InsertOf(PlainColumns, 19);

    /// <summary>A command that this batch decides.</summary>
    public void Add(Command command, Transaction outcome)
    {
        _decided.Add(command);
        _outcomes.Add(outcome);
        _answered.Add(command.Id);
        _entries += outcome.Entries.Count;
        _hasEffect |= outcome.EffectiveAt is not null;
        _hasFurther |= outcome is not { Details: null, EffectiveAt: null, Reverses: null, HoldId: null };
    }

    /// <summary>A command that something else has decided: it is pending no longer.</summary>
    public void Forget(Command command) => _answered.Add(command.Id);

    /// <summary>Writes what was decided and commits it, in one round trip: the database commits nothing behind a statement that failed.</summary>
    public async Task CommitAsync(NpgsqlConnection connection, Book book, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection);
        PrepareAccounts(batch, book);
        WriteTransactions(batch);
        WriteEntries(batch);
        WriteKeys(batch, book);
        batch.BatchCommands.Add(new NpgsqlBatchCommand("delete from ledger.pending_commands where id = any ($1)")
        {
            Parameters = { Column(_answered) },
        });
        batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Gets the accounts ready for their entries, which move the balances: one update per account and batch (<c>ledger.post_entries</c>).</summary>
    private static void PrepareAccounts(NpgsqlBatch batch, Book book)
    {
        List<AccountState> opened = [];
        List<Guid> shards = [];
        foreach (ref readonly var account in book.Touchable)
        {
            if (!account.Touched)
                continue;
            if (account.IsNew)
                opened.Add(account);
            else if (account.IsUnlimited)
                shards.Add(account.Id);
        }

        if (opened.Count > 0)
        {
            // In key order: two batches that open the same accounts wait for each other in one direction only.
            opened.Sort((a, b) => (a.OwnerId, a.Currency).CompareTo((b.OwnerId, b.Currency)));
            batch.BatchCommands.Add(new NpgsqlBatchCommand("""
                insert into ledger.accounts (id, kind, owner_id, name, currency)
                select id, 'user', owner_id, 'main', currency from unnest($1, $2, $3) o(id, owner_id, currency)
                """)
            {
                Parameters = { Column(opened, a => a.Id), Column(opened, a => a.OwnerId!.Value), Column(opened, a => a.Currency) },
            });
        }

        if (shards.Count > 1)
        {
            // Taken last and in id order: no batch waits for another one's user accounts while it holds these.
            batch.BatchCommands.Add(new NpgsqlBatchCommand("select ledger.lock_shards($1)")
            {
                Parameters = { Column(shards) },
            });
        }
    }

    private void WriteTransactions(NpgsqlBatch batch)
    {
        if (_outcomes.Count == 0)
            return;

        var insert = new NpgsqlBatchCommand(_hasFurther ? InsertOf(PlainColumns + FurtherColumns, 23) : PlainInsert)
        {
            Parameters =
            {
                Column(_outcomes, t => t.Id),
                Column(_outcomes, t => t.Kind),
                Column(_outcomes, t => t.Status.Name()),
                Column(_outcomes, t => t.PrincipalId),
                Column(_outcomes, t => t.OwnerId),
                Column(_outcomes, t => t.RecipientId),
                Column(_outcomes, t => HasTwoAccounts(t) ? t.Entries[0].AccountId : (Guid?)null),
                Column(_outcomes, t => HasTwoAccounts(t) ? t.Entries[1].AccountId : (Guid?)null),
                Column(_outcomes, t => HasTwoAccounts(t) ? null : AccountsOf(t)),
                Column(_outcomes, t => t.Currency),
                Column(_outcomes, t => t.Amount.MinorUnits),
                Column(_outcomes, t => t.Reference),
                Column(_outcomes, t => t.Metadata, NpgsqlDbType.Json),
                Column(_outcomes, t => t.CreatedAt, NpgsqlDbType.TimestampTz),
                Column(_outcomes, t => t.DecidedAt!.Value, NpgsqlDbType.TimestampTz),
                Column(_outcomes, t => t.Rejection?.Code),
                Column(_outcomes, t => t.Rejection?.Available),
                Column(_outcomes, t => (short?)t.Rejection?.Index),
                Column(_outcomes, t => TransactionDigest.Of(t, _canonical)),
            },
        };
        if (_hasFurther)
        {
            insert.Parameters.Add(Column(_outcomes, t => t.Details, NpgsqlDbType.Json));
            insert.Parameters.Add(Column(_outcomes, t => t.EffectiveAt, NpgsqlDbType.TimestampTz));
            insert.Parameters.Add(Column(_outcomes, t => t.Reverses));
            insert.Parameters.Add(Column(_outcomes, t => t.HoldId));
        }
        batch.BatchCommands.Add(insert);
    }

    // unnest takes arrays of arrays apart. Two accounts, the usual number, go as two columns, and any other number as the text of an
    // array: {id,id,id}.
    private static string InsertOf(string columns, int count) => $"""
        insert into ledger.transactions ({columns})
        select {columns.Replace("account_ids", "case when account_ids is null then array[first_id, second_id] else account_ids::uuid[] end", StringComparison.Ordinal)}
        from unnest({string.Join(", ", Enumerable.Range(1, count).Select(i => $"${i}"))})
            t({columns.Replace("account_ids", "first_id, second_id, account_ids", StringComparison.Ordinal)})
        """;

    private static bool HasTwoAccounts(Transaction transaction) =>
        transaction.Entries is [var first, var second] && first.AccountId != second.AccountId;

    private static string AccountsOf(Transaction transaction)
    {
        if (transaction.Entries.Count == 0)
            return "{}";
        var text = new StringBuilder("{", 2 + (transaction.Entries.Count * 37));
        for (var i = 0; i < transaction.Entries.Count; i++)
        {
            var account = transaction.Entries[i].AccountId;
            var isFirst = true;
            for (var before = 0; before < i && isFirst; before++)
                isFirst = transaction.Entries[before].AccountId != account;
            if (isFirst)
                text.Append(text.Length > 1 ? "," : "").Append(account);
        }
        return text.Append('}').ToString();
    }

    private void WriteEntries(NpgsqlBatch batch)
    {
        if (_entries == 0)
            return;

        var accounts = new List<Guid>(_entries);
        var times = new List<DateTime>(_entries);
        var transactions = new List<Guid>(_entries);
        var currencies = new List<string>(_entries);
        var amounts = new List<long>(_entries);
        var balances = new List<long?>(_entries);
        foreach (var transaction in _outcomes)
        {
            foreach (var entry in transaction.Entries)
            {
                accounts.Add(entry.AccountId);
                times.Add(transaction.DecidedAt!.Value);
                transactions.Add(transaction.Id);
                currencies.Add(entry.Amount.Currency);
                amounts.Add(entry.Amount.MinorUnits);
                balances.Add(entry.BalanceAfter);
            }
        }

        // unnest keeps the order, and with it the identity column the order of posting.
        var insert = new NpgsqlBatchCommand(_hasEffect
            ? """
              insert into ledger.entries (account_id, posted_at, transaction_id, currency, amount, balance_after, effective_at)
              select account_id, posted_at, transaction_id, currency, amount, balance_after, effective_at
              from unnest($1, $2, $3, $4, $5, $6, $7) e(account_id, posted_at, transaction_id, currency, amount, balance_after, effective_at)
              """
            : """
              insert into ledger.entries (account_id, posted_at, transaction_id, currency, amount, balance_after)
              select account_id, posted_at, transaction_id, currency, amount, balance_after
              from unnest($1, $2, $3, $4, $5, $6) e(account_id, posted_at, transaction_id, currency, amount, balance_after)
              """)
        {
            Parameters =
            {
                Column(accounts), new NpgsqlParameter<List<DateTime>> { TypedValue = times, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.TimestampTz },
                Column(transactions), Column(currencies), Column(amounts), Column(balances),
            },
        };
        if (_hasEffect)
        {
            var effects = _outcomes.SelectMany(t => t.Entries.Select(_ => t.EffectiveAt)).ToList();
            insert.Parameters.Add(new NpgsqlParameter<List<DateTime?>> { TypedValue = effects, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.TimestampTz });
        }
        batch.BatchCommands.Add(insert);
    }

    private void WriteKeys(NpgsqlBatch batch, Book book)
    {
        var keyed = _decided.FindAll(c => c.IdempotencyKey is { } key && !book.IsStored(c.PrincipalId, key));
        if (keyed.Count == 0)
            return;

        // In key order, and without "on conflict": if another worker just took the same key, this batch must look again.
        keyed.Sort((a, b) => (a.PrincipalId, a.IdempotencyKey).CompareTo((b.PrincipalId, b.IdempotencyKey)));
        batch.BatchCommands.Add(new NpgsqlBatchCommand("""
            insert into ledger.idempotency_keys (principal_id, key, request_hash, transaction_id)
            select * from unnest($1, $2, $3, $4)
            """)
        {
            Parameters =
            {
                Column(keyed, c => c.PrincipalId), Column(keyed, c => c.IdempotencyKey!), Column(keyed, RequestHash.Of), Column(keyed, c => c.Id),
            },
        });
    }

    private static NpgsqlParameter<List<T>> Column<T>(List<T> values) => new NpgsqlParameter<List<T>> { TypedValue = values };

    private static NpgsqlParameter<T[]> Column<TRow, T>(List<TRow> rows, Func<TRow, T> value, NpgsqlDbType? element = null)
    {
        var values = new T[rows.Count];
        for (var i = 0; i < values.Length; i++)
            values[i] = value(rows[i]);
        var parameter = new NpgsqlParameter<T[]> { TypedValue = values };
        if (element is { } type)
            parameter.NpgsqlDbType = NpgsqlDbType.Array | type;
        return parameter;
    }
}
