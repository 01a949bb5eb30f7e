using Npgsql;
using NpgsqlTypes;

namespace Ledger.Api.Accounts;

/// <summary>
/// Reads statements by the primary key of the entries, and by the index of their times of effect. Entries never change, and an account
/// gets them in the order of their times of posting, so pages that are read one after the other fit together.
/// </summary>
internal sealed class StatementQueries(NpgsqlDataSource database)
{
    private const string Columns = """
        e.posted_at, e.id, e.transaction_id, t.kind, e.amount, e.balance_after, coalesce(e.effective_at, e.posted_at), t.reference
        """;

    /// <summary>The entries behind a place in the order of posting: account, time of posting, number, end, limit.</summary>
    internal const string Entries = $"""
        select {Columns}
        from ledger.entries e join ledger.transactions t on t.id = e.transaction_id
        where e.account_id = $1 and (e.posted_at, e.id) > ($2, $3) and e.posted_at < $4
        order by e.posted_at, e.id limit $5
        """;

    /// <summary>
    /// The entries behind a place in the order of effect: account, time of posting, number, end, limit, time of effect, and the time that
    /// the known entries were posted before. Entries with a time of effect have an index of their own. The others take effect when they
    /// are posted, and are read no further than the page can reach.
    /// </summary>
    internal const string EntriesByEffect = $"""
        with late as materialized (
            select e.effective_at as at, e.* from ledger.entries e
            where e.account_id = $1 and (e.effective_at, e.posted_at, e.id) > ($6, $2, $3) and e.effective_at < $4 and e.posted_at < $7
            order by e.effective_at, e.posted_at, e.id limit $5
        ), plain as materialized (
            select e.posted_at as at, e.* from ledger.entries e
            where e.account_id = $1 and e.effective_at is null and (e.posted_at, e.posted_at, e.id) > ($6, $2, $3)
                and e.posted_at < least($4, $7) and e.posted_at <= (select case when count(*) < $5 then 'infinity' else max(l.at) end from late l)
            order by e.posted_at, e.id limit $5
        ), page as (
            select * from late union all select * from plain order by at, posted_at, id limit $5
        )
        select {Columns}
        from page e join ledger.transactions t on t.id = e.transaction_id
        order by e.at, e.posted_at, e.id
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
            Parameters = { new() { Value = account }, User(reader), Time(from ?? DateTime.MinValue), Time(to ?? DateTime.MaxValue) },
        };
        await using var row = await ReadAsync(reader, find, cancellationToken);
        if (!await row.ReadAsync(cancellationToken))
            return null;
        var end = to ?? (row.IsDBNull(3) ? DateTime.UnixEpoch : row.GetDateTime(3).AddMicroseconds(1));
        return new(account, row.GetString(0), from, end, null, row.GetInt64(1), row.GetInt64(2), null);
    }

    /// <summary>The same by times of effect.</summary>
    /// <param name="after">The place in the statement whose balance is wanted; null for its start.</param>
    /// <param name="known">The time that the entries of the statement were posted before; null for all that are posted.</param>
    public async Task<Statement?> FindByEffectAsync(
        StatementReader reader, Guid account, DateTime? from, DateTime? to, EntryPlace? after, DateTime? known, CancellationToken cancellationToken)
    {
        var find = new NpgsqlBatchCommand($"""
            select a.currency, a.known, {BalanceUpTo("$3", "'-infinity'", "0")}, {BalanceUpTo("coalesce($4, a.known)", "'-infinity'", "0")}, {BalanceUpTo("$6", "$7", "$8")}
            from (
                select a.id, a.currency, coalesce($5, (
                    select e.posted_at + interval '1 microsecond' from ledger.entries e
                    where e.account_id = a.id order by e.posted_at desc, e.id desc limit 1), 'epoch') as known
                from ledger.accounts a
                where a.id = $1 and a.shard is null and ($2::uuid is null or a.owner_id = $2)) a
            """)
        {
            Parameters =
            {
                new() { Value = account }, User(reader), Time(from ?? DateTime.MinValue), OptionalTime(to), OptionalTime(known),
                Time(after?.Time ?? from ?? DateTime.MinValue), Time(after?.PostedAt ?? DateTime.MinValue), new() { Value = after?.Id ?? 0 },
            },
        };
        await using var row = await ReadAsync(reader, find, cancellationToken);
        if (!await row.ReadAsync(cancellationToken))
            return null;
        var until = row.GetDateTime(1);
        return new(account, row.GetString(0), from, to ?? until, until, row.GetInt64(2), row.GetInt64(3), row.GetInt64(4));
    }

    /// <summary>The entries of a statement behind a place.</summary>
    /// <param name="balance">By effect: the balance at this place, which becomes that at the last entry.</param>
    public async Task<IReadOnlyList<StatementEntry>> ReadAsync(
        StatementReader reader, Statement statement, EntryPlace after, long? balance, int limit, CancellationToken cancellationToken)
    {
        var read = new NpgsqlBatchCommand(statement.Known is null ? Entries : EntriesByEffect)
        {
            Parameters =
            {
                new() { Value = statement.Account }, Time(after.PostedAt), new() { Value = after.Id }, Time(statement.End), new() { Value = limit },
            },
        };
        if (statement.Known is { } known)
        {
            read.Parameters.Add(Time(after.Time));
            read.Parameters.Add(Time(known));
        }
        await using var row = await ReadAsync(reader, read, cancellationToken);
        var entries = new List<StatementEntry>();
        while (await row.ReadAsync(cancellationToken))
        {
            var (postedAt, amount, effectiveAt) = (row.GetDateTime(0), row.GetInt64(4), row.GetDateTime(6));
            balance += amount;
            entries.Add(new(
                new(statement.Known is null ? postedAt : effectiveAt, postedAt, row.GetInt64(1)), row.GetGuid(2), row.GetString(3), amount, balance ?? row.GetInt64(5),
                effectiveAt, row.IsDBNull(7) ? null : row.GetString(7)));
        }
        return entries;
    }

    // The balance with all known entries up to a place in the order of effect. No entry takes effect later than it is posted, so what
    // was posted before a time is complete but for the entries that were posted later and took effect by then.
    private static string BalanceUpTo(string time, string postedAt, string id) => $"""
        (coalesce((
            select e.balance_after from ledger.entries e
            where e.account_id = a.id and e.posted_at < least({time}, a.known) order by e.posted_at desc, e.id desc limit 1), 0)
        + coalesce((
            select sum(e.amount) from ledger.entries e
            where e.account_id = a.id and (e.effective_at, e.posted_at, e.id) <= ({time}, {postedAt}, {id}) and e.posted_at >= {time} and e.posted_at < a.known), 0)
        + coalesce((
            select sum(e.amount) from ledger.entries e
            where e.account_id = a.id and e.effective_at is null and e.posted_at = {time} and (e.posted_at, e.id) <= ({postedAt}, {id}) and e.posted_at < a.known), 0))::bigint
        """;

    private Task<NpgsqlDataReader> ReadAsync(StatementReader reader, NpgsqlBatchCommand statement, CancellationToken cancellationToken) => reader.User is { } user
        ? database.ReadForAsync(new(reader.Caller, user), cancellationToken, statement)
        : database.ReadEverythingAsync(reader.Caller, cancellationToken, statement);

    private static NpgsqlParameter User(StatementReader reader) => new() { Value = reader.User ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid };

    // Npgsql writes the least and the greatest time as infinity.
    private static NpgsqlParameter<DateTime> Time(DateTime time) => new() { TypedValue = time, NpgsqlDbType = NpgsqlDbType.TimestampTz };

    private static NpgsqlParameter OptionalTime(DateTime? time) => new() { Value = time ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz };
}

/// <summary>Who reads a statement.</summary>
/// <param name="User">The user whose accounts it reads; null if it reads everybody's, which takes a role or the scope to read.</param>
internal readonly record struct StatementReader(Guid Caller, Guid? User);

/// <summary>An account and a period. Amounts are minor units.</summary>
/// <param name="From">The first time of the period; null for the account's beginning.</param>
/// <param name="End">The time that the period ends before.</param>
/// <param name="Known">By effect: the time that its entries were posted before, so that later ones do not change later pages. Null by posting.</param>
/// <param name="Reached">By effect: the balance at the place that was asked for. Null by posting.</param>
internal sealed record Statement(Guid Account, string Currency, DateTime? From, DateTime End, DateTime? Known, long Opening, long Closing, long? Reached)
{
    /// <summary>The place before the first entry of the period.</summary>
    public EntryPlace Start => Known is null
        ? new(From ?? DateTime.MinValue, From ?? DateTime.MinValue, 0)
        : new(From ?? DateTime.MinValue, DateTime.MinValue, 0);
}

/// <summary>The place of an entry on its account.</summary>
/// <param name="Time">The time that orders the statement: of posting or of effect.</param>
/// <param name="Id">The number of the entry, above zero.</param>
internal readonly record struct EntryPlace(DateTime Time, DateTime PostedAt, long Id);

/// <summary>An entry. Amounts are minor units.</summary>
/// <param name="BalanceAfter">The balance after it, in the order of the statement.</param>
internal sealed record StatementEntry(
    EntryPlace Place, Guid TransactionId, string Kind, long Amount, long BalanceAfter, DateTime EffectiveAt, string? Reference);
