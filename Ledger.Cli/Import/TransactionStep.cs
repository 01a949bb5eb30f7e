using System.Security.Cryptography;
using Ledger.Cli.Export;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Cli.Import;

/// <summary>
/// Writes chunks of transactions with their entries, and seals each chunk as a block of the journal in the same commit: the journal's
/// order is the order of the lines. What the database holds, it checks here too: the entries move the balances.
/// </summary>
internal sealed class TransactionStep
{
    private readonly NpgsqlConnection _connection;
    private readonly LineCheck _check;
    private readonly CanonicalWriter _canonical = new();
    private long _stored;

    private TransactionStep(NpgsqlConnection connection, LineCheck check, long stored) => (_connection, _check, _stored) = (connection, check, stored);

    /// <summary>How many transactions of the file were written or found.</summary>
    public long Count { get; private set; }

    public static async Task<TransactionStep> BeginAsync(NpgsqlConnection connection, LineCheck check, CancellationToken cancellationToken)
    {
        await using var read = new NpgsqlCommand("select coalesce(max(sequence), 0) from ledger.journal", connection);
        return new(connection, check, (long)(await read.ExecuteScalarAsync(cancellationToken))!);
    }

    /// <returns>How many were not there.</returns>
    public async Task<int> WriteAsync(List<(long Number, TransactionLine Line)> lines, CancellationToken cancellationToken)
    {
        var transactions = lines.ConvertAll(item => (item.Number, Transaction: _check.Transaction(item.Number, item.Line)));
        var known = (int)Math.Clamp(_stored - Count, 0, transactions.Count);
        if (known > 0)
            await CompareAsync(transactions[..known], cancellationToken);
        if (known < transactions.Count)
            await InsertAsync(transactions[known..], Count + known, cancellationToken);
        Count += transactions.Count;
        return transactions.Count - known;
    }

    /// <summary>Refuses lines that are not the transactions at their places in the journal.</summary>
    private async Task CompareAsync(List<(long Number, Transaction Transaction)> transactions, CancellationToken cancellationToken)
    {
        var stored = (await TransactionReader.LoadAsync(_connection, [.. transactions.Select(item => item.Transaction.Id)], cancellationToken)).ToDictionary(transaction => transaction.Id);
        foreach (var (place, (number, transaction)) in transactions.Index())
        {
            if (!stored.TryGetValue(transaction.Id, out var known) || known.Sequence != Count + place + 1 || known.Entries.Count != transaction.Entries.Count
                || !DigestOf(WithStored(transaction, known)).AsSpan().SequenceEqual(DigestOf(known)))
                throw new ImportException(number, $"the ledger has another transaction at sequence {Count + place + 1}. It takes the rest of an import that was interrupted, and no other.");
        }
    }

    // What a line leaves out was added when it was imported.
    private static Transaction WithStored(Transaction transaction, Transaction stored) => transaction with
    {
        Entries = [.. transaction.Entries.Zip(stored.Entries, (entry, known) => entry with
        {
            AccountId = entry.AccountId == Guid.Empty ? known.AccountId : entry.AccountId,
            BalanceAfter = entry.BalanceAfter ?? known.BalanceAfter,
        })],
    };

    private async Task InsertAsync(List<(long Number, Transaction Transaction)> lines, long after, CancellationToken cancellationToken)
    {
        await using var transaction = await _connection.BeginTransactionAsync(cancellationToken);
        // Nothing else writes transactions until the commit.
        await ExecuteAsync("lock table ledger.transactions in exclusive mode", cancellationToken);
        await RefuseOthersAsync(lines[0].Number, after, cancellationToken);

        var worlds = await WorldsAsync(lines, cancellationToken);
        var accounts = await ReadAccountsAsync(
            [.. lines.SelectMany(line => line.Transaction.Entries).Select(entry => entry.AccountId).Where(id => id != Guid.Empty).Distinct()], cancellationToken);
        var complete = new List<Transaction>(lines.Count);
        foreach (var (place, (number, line)) in lines.Index())
            complete.Add(Complete(number, line, accounts, currency => worlds[(currency, (short)((after + place) % PostingEngine.SettlementShards))]));

        var touched = accounts.Values.Where(account => !account.IsShard && account.IsTouched).Select(account => account.Id).ToArray();
        await ExecuteAsync("update ledger.accounts set status = 'open', credit_limit = 999999999999999999 where id = any ($1)", cancellationToken, new NpgsqlParameter { Value = touched });
        var digests = await CopyTransactionsAsync(complete, cancellationToken);
        await CopyEntriesAsync(complete, cancellationToken);
        await ExecuteAsync("update ledger.accounts set status = 'frozen' where id = any ($1)", cancellationToken, new NpgsqlParameter { Value = touched });
        await SealAsync(complete, after, digests, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    // A transaction that is not sealed came from a worker.
    private async Task RefuseOthersAsync(long number, long after, CancellationToken cancellationToken)
    {
        await using var find = new NpgsqlCommand("""
            select coalesce((select max(sequence) from ledger.journal), 0) <> $1 or exists (
                select from ledger.transactions t
                where t.xact >= coalesce((select case when b.resume_at <= pg_snapshot_xmax(pg_current_snapshot()) then b.resume_at end
                        from ledger.blocks b order by b.number desc limit 1), '0'::xid8)
                    and not exists (select from ledger.journal j where j.transaction_id = t.id))
            """, _connection) { CommandTimeout = 0, Parameters = { new() { Value = after } } };
        if (await find.ExecuteScalarAsync(cancellationToken) is true)
            throw new ImportException(number, "the ledger has transactions that are not of this file. Only an empty ledger takes an import.");
    }

    // The settlement shards of the currencies in which entries name no account.
    private async Task<Dictionary<(string Currency, short Shard), Guid>> WorldsAsync(List<(long Number, Transaction Transaction)> lines, CancellationToken cancellationToken)
    {
        var shards = new Dictionary<(string, short), Guid>();
        var currencies = lines.SelectMany(line => line.Transaction.Entries).Where(entry => entry.AccountId == Guid.Empty).Select(entry => entry.Amount.Currency).Distinct().ToArray();
        if (currencies.Length == 0)
            return shards;
        await using var read = new NpgsqlCommand("select currency, shard, id from ledger.accounts where kind = 'settlement' and currency = any ($1)", _connection)
        {
            Parameters = { new() { Value = currencies } },
        };
        await using var row = await read.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            shards[(row.GetString(0), row.GetInt16(1))] = row.GetGuid(2);
        return shards;
    }

    private async Task<Dictionary<Guid, Account>> ReadAccountsAsync(Guid[] ids, CancellationToken cancellationToken)
    {
        await using var read = new NpgsqlCommand("select id, currency, shard is not null, posted, last_posted_at, status from ledger.accounts where id = any ($1)", _connection)
        {
            Parameters = { new() { Value = ids } },
        };
        var accounts = new Dictionary<Guid, Account>();
        await using var row = await read.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
        {
            accounts[row.GetGuid(0)] = new Account(row.GetGuid(0), row.GetString(1), row.GetBoolean(2), row.GetString(5) == "closed")
            {
                Posted = row.GetInt64(3),
                LastPostedAt = row.GetDateTime(4),
            };
        }
        return accounts;
    }

    /// <summary>The transaction with the accounts and balances that its line left out, after a check of those that it states.</summary>
    private static Transaction Complete(long number, Transaction transaction, Dictionary<Guid, Account> accounts, Func<string, Guid> worldOf)
    {
        var time = transaction.DecidedAt!.Value;
        var met = new HashSet<Guid>();
        var entries = new List<Entry>(transaction.Entries.Count);
        foreach (var (place, entry) in transaction.Entries.Index())
        {
            if (entry.AccountId == Guid.Empty)
            {
                if (entry.BalanceAfter is not null)
                    throw new ImportException(number, $"entries[{place}].balanceAfter: an entry of the world outside has none.");
                entries.Add(entry with { AccountId = worldOf(entry.Amount.Currency) });
                continue;
            }
            if (!accounts.TryGetValue(entry.AccountId, out var account) || account.Currency != entry.Amount.Currency)
                throw new ImportException(number, $"entries[{place}].accountId: there is no account {entry.AccountId} in {entry.Amount.Currency}. A line of type account before it adds the account.");
            if (account.IsClosed)
                throw new ImportException(number, $"entries[{place}].accountId: account {entry.AccountId} is closed.");
            if (account.IsShard)
            {
                if (entry.BalanceAfter is not null)
                    throw new ImportException(number, $"entries[{place}].balanceAfter: an entry on a shard has none.");
                entries.Add(entry);
                continue;
            }
            if (met.Add(account.Id) && account.LastPostedAt >= time)
                throw new ImportException(number, $"decidedAt: account {account.Id} has an entry at {account.LastPostedAt:O}. Each transaction of an account is later than the one before it.");
            var balance = (Int128)account.Posted + entry.Amount.MinorUnits;
            if (Int128.Abs(balance) > Judge.BalanceLimit)
                throw new ImportException(number, $"entries[{place}].amount: the balance of account {account.Id} would be {balance} minor units. It is at most {Judge.BalanceLimit}.");
            if (entry.BalanceAfter is { } stated && stated != balance)
                throw new ImportException(number, $"entries[{place}].balanceAfter is {stated} minor units, and the entries up to it sum to {balance}.");
            account.Post((long)balance, time);
            entries.Add(entry with { BalanceAfter = (long)balance });
        }
        return transaction with { Entries = entries };
    }

    private async Task<byte[]> CopyTransactionsAsync(List<Transaction> transactions, CancellationToken cancellationToken)
    {
        var digests = new byte[transactions.Count * SHA256.HashSizeInBytes];
        await using var copy = await _connection.BeginBinaryImportAsync("""
            copy ledger.transactions (id, kind, status, principal_id, owner_id, recipient_id, account_ids, currency, amount, reference, metadata, details, reverses,
                created_at, decided_at, effective_at, rejection, rejection_index, available, failure, digest) from stdin binary
            """, cancellationToken);
        foreach (var (place, transaction) in transactions.Index())
        {
            var digest = DigestOf(transaction);
            digest.CopyTo(digests, place * SHA256.HashSizeInBytes);
            var hasAmount = transaction.Currency.Length > 0;
            await copy.StartRowAsync(cancellationToken);
            await copy.WriteAsync(transaction.Id, cancellationToken);
            await copy.WriteAsync(transaction.Kind, cancellationToken);
            await copy.WriteAsync(transaction.Status.Name(), cancellationToken);
            await copy.WriteAsync(transaction.PrincipalId, cancellationToken);
            await copy.WriteOrNullAsync(transaction.OwnerId, NpgsqlDbType.Uuid, cancellationToken);
            await copy.WriteOrNullAsync(transaction.RecipientId, NpgsqlDbType.Uuid, cancellationToken);
            await copy.WriteAsync(transaction.Entries.Select(entry => entry.AccountId).Distinct().ToArray(), cancellationToken);
            await copy.WriteOrNullAsync(hasAmount ? transaction.Currency : null, NpgsqlDbType.Text, cancellationToken);
            await copy.WriteOrNullAsync(hasAmount ? transaction.Amount.MinorUnits : (long?)null, NpgsqlDbType.Bigint, cancellationToken);
            await copy.WriteOrNullAsync(transaction.Reference, NpgsqlDbType.Text, cancellationToken);
            await copy.WriteOrNullAsync(transaction.Metadata, NpgsqlDbType.Json, cancellationToken);
            await copy.WriteOrNullAsync(transaction.Details, NpgsqlDbType.Json, cancellationToken);
            await copy.WriteOrNullAsync(transaction.Reverses, NpgsqlDbType.Uuid, cancellationToken);
            await copy.WriteAsync(transaction.CreatedAt, NpgsqlDbType.TimestampTz, cancellationToken);
            await copy.WriteAsync(transaction.DecidedAt!.Value, NpgsqlDbType.TimestampTz, cancellationToken);
            await copy.WriteOrNullAsync(transaction.EffectiveAt, NpgsqlDbType.TimestampTz, cancellationToken);
            await copy.WriteOrNullAsync(transaction.Rejection?.Code, NpgsqlDbType.Text, cancellationToken);
            await copy.WriteOrNullAsync((short?)transaction.Rejection?.Index, NpgsqlDbType.Smallint, cancellationToken);
            await copy.WriteOrNullAsync(transaction.Rejection?.Available, NpgsqlDbType.Bigint, cancellationToken);
            await copy.WriteOrNullAsync(transaction.Failure, NpgsqlDbType.Text, cancellationToken);
            await copy.WriteAsync(digest, cancellationToken);
        }
        await copy.CompleteAsync(cancellationToken);
        return digests;
    }

    // In the order of the lines, and with it the identity column the order of posting.
    private async Task CopyEntriesAsync(List<Transaction> transactions, CancellationToken cancellationToken)
    {
        await using var copy = await _connection.BeginBinaryImportAsync(
            "copy ledger.entries (account_id, posted_at, transaction_id, currency, amount, balance_after, effective_at) from stdin binary", cancellationToken);
        foreach (var transaction in transactions)
        {
            foreach (var entry in transaction.Entries)
            {
                await copy.StartRowAsync(cancellationToken);
                await copy.WriteAsync(entry.AccountId, cancellationToken);
                await copy.WriteAsync(transaction.DecidedAt!.Value, NpgsqlDbType.TimestampTz, cancellationToken);
                await copy.WriteAsync(transaction.Id, cancellationToken);
                await copy.WriteAsync(entry.Amount.Currency, cancellationToken);
                await copy.WriteAsync(entry.Amount.MinorUnits, cancellationToken);
                await copy.WriteOrNullAsync(entry.BalanceAfter, NpgsqlDbType.Bigint, cancellationToken);
                await copy.WriteOrNullAsync(transaction.EffectiveAt, NpgsqlDbType.TimestampTz, cancellationToken);
            }
        }
        await copy.CompleteAsync(cancellationToken);
    }

    // As ledger.seal does. The block says no time that later ones are behind: lines of other accounts may still be older. Below xmin, every
    // transaction of the database has ended and is sealed.
    private async Task SealAsync(List<Transaction> transactions, long after, byte[] digests, CancellationToken cancellationToken)
    {
        await ExecuteAsync("""
            insert into ledger.journal (sequence, transaction_id, owner_id)
            select $1 + i.place, i.id, i.owner_id from unnest($2, $3) with ordinality i(id, owner_id, place) order by i.place
            """, cancellationToken,
            new() { Value = after },
            new() { Value = transactions.ConvertAll(transaction => transaction.Id) },
            new NpgsqlParameter<Guid?[]> { TypedValue = [.. transactions.Select(transaction => transaction.Entries.Count == 0 ? transaction.OwnerId : null)] });
        await ExecuteAsync("""
            insert into ledger.blocks (number, first_sequence, last_sequence, horizon, resume_at, previous, hash)
            select v.number, $1, $2, v.horizon, pg_snapshot_xmin(pg_current_snapshot()), v.previous, ledger.block_hash(v.number, $1, $2, v.previous, $3)
            from (
                select coalesce(b.number, 0) + 1, coalesce(b.horizon, '-infinity'), coalesce(b.hash, decode(repeat('00', 32), 'hex'))
                from (select) one left join (select * from ledger.blocks order by number desc limit 1) b on true) v(number, horizon, previous)
            """, cancellationToken, new() { Value = after + 1 }, new() { Value = after + transactions.Count }, new() { Value = digests });
    }

    private byte[] DigestOf(Transaction transaction) => TransactionDigest.Of(transaction, _canonical);

    private async Task ExecuteAsync(string sql, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
        await using var command = new NpgsqlCommand(sql, _connection) { CommandTimeout = 0 };
        command.Parameters.AddRange(parameters);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private sealed record Account(Guid Id, string Currency, bool IsShard, bool IsClosed)
    {
        public long Posted { get; set; }
        public DateTime LastPostedAt { get; set; }
        public bool IsTouched { get; private set; }

        public void Post(long balance, DateTime time)
        {
            (Posted, LastPostedAt, IsTouched) = (balance, time, true);
        }
    }
}
