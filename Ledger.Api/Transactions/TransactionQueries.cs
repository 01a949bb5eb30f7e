using Ledger.Api.Identity;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Api.Transactions;

/// <summary>
/// Reads the transactions that one user may see: its own, and the transfers that it received; and those that one caller sent. Each
/// query filters by the user or the caller, and row-level security filters again.
/// </summary>
public sealed class TransactionQueries(NpgsqlDataSource database)
{
    // The owners of its accounts see a posted transaction; any other has no accounts, and only its sender sees it.
    private const string Visible = """
        (t.owner_id = $1 or t.account_ids && array(select a.id from ledger.accounts a where a.owner_id = $1 and a.kind = 'user'))
        """;

    /// <summary>A pending or decided transaction; null if the user may see none of this id.</summary>
    public async Task<Transaction?> FindAsync(Acting acting, Guid id, CancellationToken cancellationToken)
    {
        var user = acting.User;
        // Pending first: a transaction that is decided between the statements is found by the second.
        await using var reader = await database.ReadForAsync(
            acting, cancellationToken,
            Statement($"select {PendingCommands.Columns} from ledger.pending_commands p where p.owner_id = $1 and p.id = $2", user, id),
            Statement($"select {TransactionReader.Columns} from ledger.transactions t where {Visible} and t.id = $2", user, id),
            Statement(EntriesOf("t.id = $2"), user, id));
        return await ReadOneAsync(reader, user, cancellationToken);
    }

    /// <summary>
    /// A transaction that the caller sent, as its owner sees it, or with all entries if it has no owner; null if the caller sent none of
    /// this id.
    /// </summary>
    public async Task<Transaction?> FindSentAsync(Guid caller, Guid id, CancellationToken cancellationToken)
    {
        await using var reader = await database.ReadForAsync(
            new Acting(caller, caller), cancellationToken,
            Statement($"select {PendingCommands.Columns} from ledger.pending_commands p where p.principal_id = $1 and p.id = $2", caller, id),
            Statement($"select {TransactionReader.Columns} from ledger.transactions t where t.principal_id = $1 and t.id = $2", caller, id),
            new NpgsqlBatchCommand("select account_id, currency, amount, balance_after from ledger.entries_of_command($1)") { Parameters = { new() { Value = id } } });
        return await ReadOneAsync(reader, null, cancellationToken);
    }

    // A pending command, a transaction, and its entries on the owner's accounts.
    private static async Task<Transaction?> ReadOneAsync(NpgsqlDataReader reader, Guid? owner, CancellationToken cancellationToken)
    {
        var pending = await reader.ReadAsync(cancellationToken) ? PendingCommands.Read(reader) : null;
        await reader.NextResultAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return pending;

        var entries = new List<Entry>(1);
        var transaction = TransactionReader.Read(reader, entries);
        await reader.NextResultAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            entries.Add(EntryFrom(reader, owner ?? transaction.OwnerId));
        return transaction;
    }

    /// <summary>A pending transaction that the caller sent, or any decided one, with all entries: for operators and auditors.</summary>
    public async Task<Transaction?> FindEverywhereAsync(Guid caller, Guid id, CancellationToken cancellationToken)
    {
        await using var reader = await database.ReadEverythingAsync(
            caller, cancellationToken,
            Statement($"select {PendingCommands.Columns} from ledger.pending_commands p where p.principal_id = $1 and p.id = $2", caller, id),
            new NpgsqlBatchCommand($"select {TransactionReader.Columns} from ledger.transactions t where t.id = $1") { Parameters = { new() { Value = id } } },
            new NpgsqlBatchCommand(TransactionReader.Entries) { Parameters = { new() { Value = new[] { id } } } });
        var pending = await reader.ReadAsync(cancellationToken) ? PendingCommands.Read(reader) : null;
        await reader.NextResultAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return pending;

        var entries = new List<Entry>(2);
        var transaction = TransactionReader.Read(reader, entries);
        await reader.NextResultAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            entries.Add(TransactionReader.ReadEntry(reader));
        return transaction;
    }

    /// <summary>A transaction to reverse, for callers that move other users' money; null if there is none of this id.</summary>
    public async Task<ReversalTarget?> FindTargetAsync(Guid caller, Guid id, CancellationToken cancellationToken)
    {
        await using var reader = await database.ReadForAsync(
            new Acting(caller, caller), cancellationToken,
            new NpgsqlBatchCommand("select status, reverses is not null, currency, amount, currencies from ledger.reversal_target($1)") { Parameters = { new() { Value = id } } });
        return await reader.ReadAsync(cancellationToken)
            ? new(reader.GetString(0) == TransactionStatus.Posted.Name() && !reader.GetBoolean(1), new Money(reader.GetInt64(3), reader.GetString(2)), reader.GetFieldValue<string[]>(4))
            : null;
    }

    /// <summary>A page of the user's transactions: the pending ones, newest first, then the decided ones, the newest decision first.</summary>
    public async Task<IReadOnlyList<Transaction>> ListAsync(Acting acting, TransactionFilter filter, int limit, CancellationToken cancellationToken)
    {
        // Pending first: a transaction that is decided between the queries is in both results, and the decided one counts.
        var canBePending = filter is { Status: null or TransactionStatus.Pending, After: not { DecidedAt: not null } }
            && (filter.By == TransactionTime.Created || filter is { From: null, To: null });
        var pending = canBePending
            ? await ListPendingAsync(acting, filter, limit, cancellationToken)
            : [];
        var decided = filter.Status != TransactionStatus.Pending
            ? await ListDecidedAsync(acting, filter, limit, cancellationToken)
            : [];
        return [.. pending.ExceptBy(decided.Select(transaction => transaction.Id), transaction => transaction.Id).Concat(decided).Take(limit)];
    }

    private async Task<IReadOnlyList<Transaction>> ListDecidedAsync(
        Acting acting, TransactionFilter filter, int limit, CancellationToken cancellationToken)
    {
        var transactions = new List<Transaction>();
        var entries = new Dictionary<Guid, List<Entry>>();
        await using (var reader = await database.ReadForAsync(acting, cancellationToken, PageOf(acting.User, filter, limit)))
        {
            while (await reader.ReadAsync(cancellationToken))
                transactions.Add(TransactionReader.Read(reader, entries[reader.GetGuid(0)] = new(1)));
        }

        var read = new NpgsqlBatchCommand(EntriesOf("t.id = any ($2)"))
        {
            Parameters = { new() { Value = acting.User }, new() { Value = entries.Keys.ToArray() } },
        };
        await using (var reader = await database.ReadForAsync(acting, cancellationToken, read))
        {
            while (await reader.ReadAsync(cancellationToken))
                entries[reader.GetGuid(4)].Add(EntryFrom(reader, acting.User));
        }
        return transactions;
    }

    /// <summary>A page of everybody's decided transactions with a reference or metadata, the newest decision first, for callers who may read everything.</summary>
    public async Task<IReadOnlyList<Transaction>> SearchAsync(Guid caller, TransactionFilter filter, int limit, CancellationToken cancellationToken)
    {
        var transactions = new List<Transaction>();
        var entries = new Dictionary<Guid, List<Entry>>();
        await using (var reader = await database.ReadEverythingAsync(caller, cancellationToken, PageOfEverybody(filter, limit)))
        {
            while (await reader.ReadAsync(cancellationToken))
                transactions.Add(TransactionReader.Read(reader, entries[reader.GetGuid(0)] = new(2)));
        }

        var read = new NpgsqlBatchCommand(TransactionReader.Entries) { Parameters = { new() { Value = entries.Keys.ToArray() } } };
        await using (var reader = await database.ReadEverythingAsync(caller, cancellationToken, read))
        {
            while (await reader.ReadAsync(cancellationToken))
                entries[reader.GetGuid(0)].Add(TransactionReader.ReadEntry(reader));
        }
        return transactions;
    }

    /// <summary>The decided transactions of a page of a user's list.</summary>
    internal static NpgsqlBatchCommand PageOf(Guid user, TransactionFilter filter, int limit)
    {
        var list = new NpgsqlBatchCommand { Parameters = { new() { Value = user } } };
        AddPlace(list.Parameters, filter);
        AddFilter(list.Parameters, filter, limit);
        var search = Search(list.Parameters, filter);
        // Posted transactions by the entries of each account, and rejected ones by their owner: each index scan ends when the page is
        // full, and does not start if the filter excludes its status.
        var walk = $"""
            (select e.id, e.decided_at
            from ledger.accounts a
            cross join lateral ({WalkOf(filter, search)}) e
            where a.owner_id = $1 and a.kind = 'user' and ($4::text is null or a.currency = $4))
            union
            (select t.id, t.decided_at
            from ledger.transactions t
            where t.owner_id = $1 and t.status <> 'posted' and (t.decided_at, t.id) < ($2, $3)
                and ($6::text is null or $6 = t.status)
                {Filter} {TimeOf(filter)} {search}
            order by t.decided_at desc, t.id desc limit $9)
            """;
        // By its own index: metadata of the owner's, and a reference that few transactions have. The planner does not choose, because
        // row-level security hides from it how many rows a user has.
        var found = $"""
            (select t.id, t.decided_at
            from ledger.transactions t
            where (t.decided_at, t.id) < ($2, $3) and ($6::text is null or $6 = t.status)
                and (t.owner_id = $1 or t.account_ids && array(select a.id from ledger.accounts a where a.owner_id = $1 and a.kind = 'user'))
                {(filter.Metadata is null ? "and not (select ledger.is_common_reference($10))" : "")}
                {Filter} {TimeOf(filter)} {search}
            order by t.decided_at desc, t.id desc limit $9)
            """;
        var sources = filter.Metadata is not null ? found
            : filter.Reference is not null ? $"{walk} union {found}"
            : walk;
        list.CommandText = $"""
            with page as (select p.id, p.decided_at from ({sources}) p order by p.decided_at desc, p.id desc limit $9)
            select {TransactionReader.Columns}
            from page join ledger.transactions t on t.id = page.id
            order by page.decided_at desc, page.id desc
            """;
        return list;
    }

    /// <summary>A page of everybody's decided transactions with a reference or metadata.</summary>
    internal static NpgsqlBatchCommand PageOfEverybody(TransactionFilter filter, int limit)
    {
        // The same numbers as in the list of a user, without a user in $1.
        var list = new NpgsqlBatchCommand { Parameters = { new() { Value = DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid } } };
        AddPlace(list.Parameters, filter);
        AddFilter(list.Parameters, filter, limit);
        list.CommandText = $"""
            select {TransactionReader.Columns}
            from ledger.transactions t
            where $1::uuid is null and (t.decided_at, t.id) < ($2, $3) and ($6::text is null or $6 = t.status)
                {Filter} {TimeOf(filter)} {Search(list.Parameters, filter)}
            order by t.decided_at desc, t.id desc limit $9
            """;
        return list;
    }

    // The posted transactions of account a, the newest first. An account has one transaction at a time, so that the entries of one are
    // neighbours in the primary key, and the first of them stands for it.
    private static string WalkOf(TransactionFilter filter, string search)
    {
        if (filter is { From: null, To: null } || filter.By == TransactionTime.Created)
            return Walk("ledger.entries", filter is { From: null, To: null } ? "" : Between("t.created_at"), "");
        if (filter.By == TransactionTime.Posted)
            return Walk("ledger.entries", "", Between("e.posted_at"));
        // Most entries take effect when they are posted. The others have an index of their own, which "offset 0" makes the planner use.
        return $"""
            select * from ({Walk("ledger.entries", "", "and e.effective_at is null " + Between("e.posted_at"))}) plain
            union all
            select * from ({Walk($"(select * from ledger.entries e where e.account_id = a.id {Between("e.effective_at")} offset 0)", "", "")}) late
            """;

        string Walk(string entries, string ofTransaction, string ofEntry) => $"""
            select distinct on (e.posted_at) t.id, e.posted_at as decided_at
            from {entries} e
            cross join lateral (
                select t.id from ledger.transactions t
                where t.id = e.transaction_id {Filter} {ofTransaction} {search} offset 0) t
            where e.account_id = a.id and (e.posted_at, e.transaction_id) < ($2, $3)
                and ($6::text is null or $6 = 'posted')
                {ofEntry}
                {(filter.Reference is null ? "" : "and (select ledger.is_common_reference($10))")}
            order by e.posted_at desc, e.id desc limit $9
            """;
    }

    private const string Filter = """
        and ($4::text is null or t.currency = $4)
        and ($5::text is null or t.kind = $5)
        """;

    private static string TimeOf(TransactionFilter filter) => filter is { From: null, To: null } ? "" : Between(filter.By switch
    {
        TransactionTime.Posted => "t.decided_at",
        TransactionTime.Created => "t.created_at",
        // What is not posted never takes effect.
        TransactionTime.Effective => "case when t.status = 'posted' then coalesce(t.effective_at, t.decided_at) end",
        _ => throw new ArgumentOutOfRangeException(nameof(filter), filter.By, "The list knows no such time."),
    });

    private static string Between(string time) => $"""
        and {time} >= coalesce($7::timestamptz, '-infinity') and {time} < coalesce($8::timestamptz, 'infinity')
        """;

    // Conditions that a request does not use are not in the statement, so that the planner finds the index of those that it does.
    private static string Search(NpgsqlParameterCollection parameters, TransactionFilter filter)
    {
        var conditions = "";
        if (filter.Reference is { } reference)
            conditions += $" and t.reference = {Add(reference, NpgsqlDbType.Text)}";
        if (filter.Metadata is { } metadata)
            conditions += $" and t.id in (select f.id from ledger.transactions_with_metadata({Add(metadata, NpgsqlDbType.Json)}) f(id))";
        if (filter.MinAmount is { } min)
            conditions += $" and t.amount >= {Add(min, NpgsqlDbType.Bigint)}";
        if (filter.MaxAmount is { } max)
            conditions += $" and t.amount <= {Add(max, NpgsqlDbType.Bigint)}";
        return conditions;

        string Add(object value, NpgsqlDbType type)
        {
            parameters.Add(new() { Value = value, NpgsqlDbType = type });
            return $"${parameters.Count}";
        }
    }

    private async Task<IReadOnlyList<Transaction>> ListPendingAsync(
        Acting acting, TransactionFilter filter, int limit, CancellationToken cancellationToken)
    {
        var list = new NpgsqlBatchCommand($"""
            select {PendingCommands.Columns} from ledger.pending_commands p
            where p.owner_id = $1
                and ($2::uuid is null or p.id < $2)
                and ($3::text is null or p.currency = $3)
                and ($4::text is null or p.kind = $4)
                and ($5::text is null or $5 = 'pending')
                and ($6::timestamptz is null or p.created_at >= $6)
                and ($7::timestamptz is null or p.created_at < $7)
                and ($9::text is null or p.command ->> 'reference' = $9)
                and ($10::jsonb is null or (p.command ->> 'metadata')::jsonb @> $10)
                and ($11::bigint is null or (p.command -> 'amount' ->> 'minorUnits')::bigint >= $11)
                and ($12::bigint is null or (p.command -> 'amount' ->> 'minorUnits')::bigint <= $12)
            order by p.id desc limit $8
            """);
        list.Parameters.Add(new() { Value = acting.User });
        list.Parameters.Add(new() { Value = filter.After?.Id ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid });
        AddFilter(list.Parameters, filter, limit);
        list.Parameters.Add(new() { Value = filter.Reference ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        list.Parameters.Add(new() { Value = filter.Metadata ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Jsonb });
        list.Parameters.Add(new() { Value = filter.MinAmount ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Bigint });
        list.Parameters.Add(new() { Value = filter.MaxAmount ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Bigint });
        var pending = new List<Transaction>();
        await using var reader = await database.ReadForAsync(acting, cancellationToken, list);
        while (await reader.ReadAsync(cancellationToken))
            pending.Add(PendingCommands.Read(reader));
        return pending;
    }

    private static void AddPlace(NpgsqlParameterCollection parameters, TransactionFilter filter)
    {
        var place = filter.After is { DecidedAt: not null } after ? after : TransactionPlace.FirstDecided;
        parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = place.DecidedAt!.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz });
        parameters.Add(new NpgsqlParameter<Guid> { TypedValue = place.Id });
    }

    private static void AddFilter(NpgsqlParameterCollection parameters, TransactionFilter filter, int limit)
    {
        parameters.Add(new() { Value = filter.Currency ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        parameters.Add(new() { Value = filter.Kind?.Name() ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        parameters.Add(new() { Value = filter.Status?.Name() ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        parameters.Add(new() { Value = filter.From?.UtcDateTime ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz });
        parameters.Add(new() { Value = filter.To?.UtcDateTime ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz });
        parameters.Add(new() { Value = limit });
    }

    // By account and time: the primary key of the entries.
    private static string EntriesOf(string transactions) => $"""
        select e.account_id, e.currency, e.amount, e.balance_after, e.transaction_id
        from ledger.transactions t
        join ledger.accounts a on a.owner_id = $1 and a.id = any (t.account_ids)
        join ledger.entries e on e.account_id = a.id and e.posted_at = t.decided_at and e.transaction_id = t.id
        where {transactions}
        order by e.id
        """;

    private static NpgsqlBatchCommand Statement(string sql, Guid caller, Guid id) =>
        new(sql) { Parameters = { new() { Value = caller }, new() { Value = id } } };

    private static Entry EntryFrom(NpgsqlDataReader row, Guid? owner) =>
        new(row.GetGuid(0), owner, new Money(row.GetInt64(2), row.GetString(1)), row.GetInt64(3));
}

/// <summary>A transaction that a caller wants to reverse.</summary>
/// <param name="IsReversible">Whether it is posted and no reversal itself.</param>
/// <param name="Currencies">The currencies of its accounts.</param>
public readonly record struct ReversalTarget(bool IsReversible, Money Amount, IReadOnlyList<string> Currencies);

/// <summary>Which transactions to list; a null field does not filter.</summary>
/// <param name="After">The place of the last transaction of the previous page.</param>
/// <param name="From">The earliest time.</param>
/// <param name="To">The time that the list ends before.</param>
/// <param name="By">Which time of a transaction <paramref name="From"/> and <paramref name="To"/> mean.</param>
/// <param name="Metadata">A JSON object of strings, all of which the transaction's metadata has.</param>
/// <param name="MinAmount">Minor units of <paramref name="Currency"/>.</param>
/// <param name="MaxAmount">Minor units of <paramref name="Currency"/>.</param>
public readonly record struct TransactionFilter(
    TransactionPlace? After, string? Currency, TransactionKind? Kind, TransactionStatus? Status, DateTimeOffset? From, DateTimeOffset? To, TransactionTime By,
    string? Reference, string? Metadata, long? MinAmount, long? MaxAmount);

/// <summary>A time of a transaction.</summary>
public enum TransactionTime
{
    /// <summary>When it was posted, rejected or failed. A pending transaction has none.</summary>
    Posted,
    /// <summary>When the API accepted it.</summary>
    Created,
    /// <summary>When it takes effect. What is not posted takes none.</summary>
    Effective,
}

/// <summary>The names of times in URLs.</summary>
internal static class TransactionTimes
{
    public static string[] Names { get; } = ["posted", "created", "effective"];

    public static bool TryParse(string? name, out TransactionTime time)
    {
        (var known, time) = name switch
        {
            "posted" => (true, TransactionTime.Posted),
            "created" => (true, TransactionTime.Created),
            "effective" => (true, TransactionTime.Effective),
            _ => (false, default),
        };
        return known;
    }
}
