using Npgsql;
using NpgsqlTypes;

namespace Ledger.Api.Accounts;

/// <summary>
/// Reads statements by the primary key of the entries. Entries never change, and an account gets them in the order of their times, so
/// that pages which are read one after the other fit together.
/// </summary>
internal sealed class StatementQueries(NpgsqlDataSource database)
{
    internal const string Entries = """
        select e.posted_at, e.id, e.transaction_id, t.kind, e.amount, e.balance_after, coalesce(e.effective_at, e.posted_at), t.reference
        from ledger.entries e join ledger.transactions t on t.id = e.transaction_id
        where e.account_id = $1 and (e.posted_at, e.id) > ($2, $3) and e.posted_at < $4
        order by e.posted_at, e.id limit $5
        """;

    /// <summary>An account with its balances around a period; null if the reader may see none of this id.</summary>
    /// <param name="from">The first time of the period; null for the account's beginning.</param>
    /// <param name="to">The time that the period ends before; null for the end of what is posted.</param>
    public async Task<Statement?> FindAsync(StatementReader reader, Guid account, DateTime? from, DateTime? to, CancellationToken cancellationToken)
    {
        // Shards have no statement: their entries say no balance.
        var find = new NpgsqlBatchCommand("""
            select a.currency, coalesce(opening.balance_after, 0), coalesce(closing.balance_after, 0), closing.posted_at
            from ledger.accounts a
            left join lateral (
                select e.balance_after from ledger.entries e
                where e.account_id = a.id and e.posted_at < $3 order by e.posted_at desc, e.id desc limit 1) opening on true
            left join lateral (
                select e.balance_after, e.posted_at from ledger.entries e
                where e.account_id = a.id and e.posted_at < $4 order by e.posted_at desc, e.id desc limit 1) closing on true
            where a.id = $1 and a.shard is null and ($2::uuid is null or a.owner_id = $2)
            """)
        {
            Parameters =
            {
                new() { Value = account },
                new() { Value = reader.User ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid },
                Time(from ?? DateTime.MinValue),
                Time(to ?? DateTime.MaxValue),
            },
        };
        await using var row = await ReadAsync(reader, find, cancellationToken);
        if (!await row.ReadAsync(cancellationToken))
            return null;
        var end = to ?? (row.IsDBNull(3) ? DateTime.UnixEpoch : row.GetDateTime(3).AddMicroseconds(1));
        return new(account, row.GetString(0), from, end, row.GetInt64(1), row.GetInt64(2));
    }

    /// <summary>The entries of a statement behind a place.</summary>
    public async Task<IReadOnlyList<StatementEntry>> ReadAsync(
        StatementReader reader, Statement statement, EntryPlace after, int limit, CancellationToken cancellationToken)
    {
        var read = new NpgsqlBatchCommand(Entries)
        {
            Parameters =
            {
                new() { Value = statement.Account }, Time(after.PostedAt), new() { Value = after.Id }, Time(statement.End), new() { Value = limit },
            },
        };
        await using var row = await ReadAsync(reader, read, cancellationToken);
        var entries = new List<StatementEntry>();
        while (await row.ReadAsync(cancellationToken))
        {
            entries.Add(new(
                new(row.GetDateTime(0), row.GetInt64(1)), row.GetGuid(2), row.GetString(3), row.GetInt64(4), row.GetInt64(5), row.GetDateTime(6),
                row.IsDBNull(7) ? null : row.GetString(7)));
        }
        return entries;
    }

    private Task<NpgsqlDataReader> ReadAsync(StatementReader reader, NpgsqlBatchCommand statement, CancellationToken cancellationToken) => reader.User is { } user
        ? database.ReadForAsync(new(reader.Caller, user), cancellationToken, statement)
        : database.ReadEverythingAsync(reader.Caller, cancellationToken, statement);

    // Npgsql writes the least and the greatest time as infinity.
    private static NpgsqlParameter<DateTime> Time(DateTime time) => new() { TypedValue = time, NpgsqlDbType = NpgsqlDbType.TimestampTz };
}

/// <summary>Who reads a statement.</summary>
/// <param name="User">The user whose accounts it reads; null if it reads everybody's, which takes a role or the scope to read.</param>
internal readonly record struct StatementReader(Guid Caller, Guid? User);

/// <summary>An account and a period. Amounts are minor units.</summary>
/// <param name="From">The first time of the period; null for the account's beginning.</param>
/// <param name="End">The time that the period ends before.</param>
internal sealed record Statement(Guid Account, string Currency, DateTime? From, DateTime End, long Opening, long Closing)
{
    /// <summary>The place before the first entry of the period.</summary>
    public EntryPlace Start => new(From ?? DateTime.MinValue, 0);
}

/// <summary>The place of an entry on its account.</summary>
/// <param name="Id">The number of the entry, above zero.</param>
internal readonly record struct EntryPlace(DateTime PostedAt, long Id);

/// <summary>An entry. Amounts are minor units.</summary>
internal sealed record StatementEntry(
    EntryPlace Place, Guid TransactionId, string Kind, long Amount, long BalanceAfter, DateTime EffectiveAt, string? Reference);
