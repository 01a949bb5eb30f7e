using System.Text.Json;
using Ledger.Api.Http;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Api.Transactions;

/// <summary>
/// Transactions as one user may read them: those of its own, and those that brought it money. Each query asks for no more, and
/// row-level security would show no more if one did.
/// </summary>
public sealed class TransactionQueries(NpgsqlDataSource database)
{
    // A rejected transfer is between its sender and the ledger.
    private const string Visible = "(t.owner_id = $1 or (t.counterparty_id = $1 and t.status = 'posted'))";

    /// <summary>One transaction, pending ones too; null if there is none that the caller may see.</summary>
    public async Task<Transaction?> FindAsync(Guid caller, Guid id, CancellationToken cancellationToken)
    {
        // Pending first: what is decided between the statements has left the one and is found in the other.
        await using var reader = await database.ReadForAsync(
            caller, cancellationToken,
            Statement("select command from ledger.pending_commands where owner_id = $1 and id = $2", caller, id),
            Statement($"select {TransactionReader.Columns} from ledger.transactions t where {Visible} and t.id = $2", caller, id),
            Statement(EntriesOf("t.id = $2"), caller, id));
        var pending = await reader.ReadAsync(cancellationToken) ? PendingFrom(reader.GetString(0)) : null;
        await reader.NextResultAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return pending;

        var entries = new List<Entry>(1);
        var transaction = TransactionReader.Read(reader, entries);
        await reader.NextResultAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            entries.Add(EntryFrom(reader, caller));
        return transaction;
    }

    /// <summary>A page of the caller's transactions, newest first.</summary>
    public async Task<IReadOnlyList<Transaction>> ListAsync(Guid caller, TransactionFilter filter, int limit, CancellationToken cancellationToken)
    {
        var pending = filter.Status is null or TransactionStatus.Pending
            ? await ListPendingAsync(caller, filter, limit, cancellationToken)
            : [];
        if (filter.Status == TransactionStatus.Pending)
            return pending;

        // What was pending a moment ago and is decided by now stands in both; the decision counts.
        var byId = pending.ToDictionary(transaction => transaction.Id);
        foreach (var transaction in await ListDecidedAsync(caller, filter, limit, cancellationToken))
            byId[transaction.Id] = transaction;
        return [.. byId.Values.OrderByDescending(transaction => transaction.Id).Take(limit)];
    }

    private async Task<IReadOnlyList<Transaction>> ListDecidedAsync(
        Guid caller, TransactionFilter filter, int limit, CancellationToken cancellationToken)
    {
        const string Filter = """
                and ($2::uuid is null or t.id < $2)
                and ($3::text is null or t.currency = $3)
                and ($4::text is null or t.kind = $4)
                and ($5::text is null or t.status = $5)
                and ($6::timestamptz is null or t.created_at >= $6)
                and ($7::timestamptz is null or t.created_at < $7)
            order by t.id desc limit $8
            """;
        // Two walks along two indexes, each no longer than the page.
        var list = new NpgsqlBatchCommand($"""
            (select {TransactionReader.Columns} from ledger.transactions t where t.owner_id = $1 {Filter})
            union all
            (select {TransactionReader.Columns} from ledger.transactions t where t.counterparty_id = $1 and t.status = 'posted' {Filter})
            order by id desc limit $8
            """);
        AddFilter(list.Parameters, caller, filter, limit);

        var transactions = new List<Transaction>();
        var entries = new Dictionary<Guid, List<Entry>>();
        await using (var reader = await database.ReadForAsync(caller, cancellationToken, list))
        {
            while (await reader.ReadAsync(cancellationToken))
                transactions.Add(TransactionReader.Read(reader, entries[reader.GetGuid(0)] = new(1)));
        }

        var read = new NpgsqlBatchCommand(EntriesOf("t.id = any ($2)"))
        {
            Parameters = { new() { Value = caller }, new() { Value = entries.Keys.ToArray() } },
        };
        await using (var reader = await database.ReadForAsync(caller, cancellationToken, read))
        {
            while (await reader.ReadAsync(cancellationToken))
                entries[reader.GetGuid(4)].Add(EntryFrom(reader, caller));
        }
        return transactions;
    }

    private async Task<IReadOnlyList<Transaction>> ListPendingAsync(
        Guid caller, TransactionFilter filter, int limit, CancellationToken cancellationToken)
    {
        var list = new NpgsqlBatchCommand("""
            select t.command from ledger.pending_commands t
            where t.owner_id = $1
                and ($2::uuid is null or t.id < $2)
                and ($3::text is null or t.command ->> 'currency' = $3)
                and ($4::text is null or t.command ->> 'kind' = $4)
                and ($5::text is null or $5 = 'pending')
                and ($6::timestamptz is null or (t.command ->> 'createdAt')::timestamptz >= $6)
                and ($7::timestamptz is null or (t.command ->> 'createdAt')::timestamptz < $7)
            order by t.id desc limit $8
            """);
        AddFilter(list.Parameters, caller, filter, limit);
        var pending = new List<Transaction>();
        await using var reader = await database.ReadForAsync(caller, cancellationToken, list);
        while (await reader.ReadAsync(cancellationToken))
            pending.Add(PendingFrom(reader.GetString(0)));
        return pending;
    }

    private static void AddFilter(NpgsqlParameterCollection parameters, Guid caller, TransactionFilter filter, int limit)
    {
        parameters.Add(new() { Value = caller });
        parameters.Add(new() { Value = filter.Before ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid });
        parameters.Add(new() { Value = filter.Currency ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        parameters.Add(new() { Value = filter.Kind?.Name() ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        parameters.Add(new() { Value = filter.Status?.Name() ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        parameters.Add(new() { Value = filter.From?.UtcDateTime ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz });
        parameters.Add(new() { Value = filter.To?.UtcDateTime ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz });
        parameters.Add(new() { Value = limit });
    }

    // By account and time, the entries' key.
    private static string EntriesOf(string transactions) => $"""
        select e.account_id, e.currency, e.amount, e.balance_after, e.transaction_id
        from ledger.transactions t
        join ledger.accounts a on a.owner_id = $1
        join ledger.entries e on e.account_id = a.id and e.posted_at = t.decided_at and e.transaction_id = t.id
        where {transactions}
        order by e.id
        """;

    private static NpgsqlBatchCommand Statement(string sql, Guid caller, Guid id) =>
        new(sql) { Parameters = { new() { Value = caller }, new() { Value = id } } };

    private static Entry EntryFrom(NpgsqlDataReader row, Guid owner) =>
        new(row.GetGuid(0), owner, row.GetString(1), row.GetInt64(2), row.GetInt64(3));

    private static Transaction PendingFrom(string command) =>
        Transaction.Pending(JsonSerializer.Deserialize(command, MessageJson.Default.Command)!);
}

/// <summary>Which transactions to list; null asks for all.</summary>
/// <param name="Before">The last id of the page before.</param>
/// <param name="From">Created at or after.</param>
/// <param name="To">Created before.</param>
public readonly record struct TransactionFilter(
    Guid? Before, string? Currency, TransactionKind? Kind, TransactionStatus? Status, DateTimeOffset? From, DateTimeOffset? To);
