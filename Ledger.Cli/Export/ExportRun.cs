using System.Data;
using System.Diagnostics;
using System.Globalization;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;
using Npgsql;

namespace Ledger.Cli.Export;

/// <summary>
/// Writes a section of an export: currencies, users and accounts from one snapshot, then the transactions that were sealed in it, which
/// never change and are read in short statements, then their idempotency keys.
/// </summary>
internal sealed class ExportRun(NpgsqlDataSource database, Stream output)
{
    private const int TransactionsPerStatement = 500;
    private const int KeysPerStatement = 1_000;
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly Dictionary<string, Currency> _currencies = [];
    private readonly ExportReport _report = new();
    private string? _digest;

    /// <param name="begin">Where to begin.</param>
    public async Task<ExportReport> RunAsync(ExportFile begin, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        // A role that row-level security applies to gets an error, and not a part of the ledger.
        await ExecuteAsync(connection, "set row_security = off", cancellationToken);
        await RefuseHoldsAsync(connection, cancellationToken);
        await RefuseOtherLedgerAsync(connection, begin, cancellationToken);

        _digest = begin.Digest;
        var section = begin.Section ?? await WriteHeadAsync(connection, begin.After, cancellationToken);
        if (begin.Section is not null)
            await ReadCurrenciesAsync(connection, isWritten: false, cancellationToken);
        _report.Section = section;
        for (var last = begin.LastTransaction ?? section.After; last < section.Through; last = Math.Min(last + TransactionsPerStatement, section.Through))
            await WriteTransactionsAsync(connection, last, Math.Min(last + TransactionsPerStatement, section.Through), cancellationToken);
        await WriteKeysAsync(connection, section, begin.LastKey, cancellationToken);
        await WriteAsync(new EndLine(section.Through, section.Through == 0 ? null : _digest ?? await DigestAsync(connection, section.Through, cancellationToken)), cancellationToken);
        return _report;
    }

    private static async Task RefuseHoldsAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var find = new NpgsqlCommand("select exists (select from ledger.holds)", connection);
        if (await find.ExecuteScalarAsync(cancellationToken) is true)
            throw new ExportException("The ledger has holds, which this format does not have. Nothing was exported.");
    }

    private static async Task RefuseOtherLedgerAsync(NpgsqlConnection connection, ExportFile begin, CancellationToken cancellationToken)
    {
        var sequence = begin.LastTransaction ?? begin.After;
        if (begin.Digest is not null && await DigestAsync(connection, sequence, cancellationToken) != begin.Digest)
            throw new ExportException($"The file is an export of another ledger: this one has another transaction at sequence {sequence}, or none.");
    }

    private static async Task<string?> DigestAsync(NpgsqlConnection connection, long sequence, CancellationToken cancellationToken)
    {
        await using var read = new NpgsqlCommand("select t.digest from ledger.journal j join ledger.transactions t on t.id = j.transaction_id where j.sequence = $1", connection)
        {
            Parameters = { new() { Value = sequence } },
        };
        return await read.ExecuteScalarAsync(cancellationToken) is byte[] digest ? Convert.ToHexStringLower(digest) : null;
    }

    // Balances of accounts move with transactions that may not be sealed yet. Their limits and statuses must fit the balances at the end of
    // the section: a closed account is empty then. Otherwise the next snapshot is tried, a moment later.
    private async Task<ExportLine> WriteHeadAsync(NpgsqlConnection connection, long after, CancellationToken cancellationToken)
    {
        var start = Stopwatch.GetTimestamp();
        while (true)
        {
            await using var transaction = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancellationToken);
            var (through, unsealed, isAhead) = await ReadStateAsync(connection, cancellationToken);
            if (isAhead)
            {
                if (Stopwatch.GetElapsedTime(start) > MaxWait)
                    throw new ExportException("Transactions of accounts that were closed, or whose limit was lowered, are not sealed. Check that a worker is running.");
                await transaction.RollbackAsync(cancellationToken);
                await Task.Delay(Pause, cancellationToken);
                continue;
            }
            if (after > through)
                throw new ExportException($"The journal ends at sequence {through}, before {after}.");
            _report.Unsealed = unsealed;
            var section = new ExportLine(after, through);
            await WriteAsync(section, cancellationToken);
            await ReadCurrenciesAsync(connection, isWritten: true, cancellationToken);
            await WritePeriodAsync(connection, cancellationToken);
            await WriteUsersAsync(connection, cancellationToken);
            await WriteAccountsAsync(connection, cancellationToken);
            return section;
        }
    }

    private static async Task<(long Through, long Unsealed, bool IsAhead)> ReadStateAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        // The unsealed ones are found as ledger.seal finds them.
        await using var read = new NpgsqlCommand("""
            with last as materialized (
                select coalesce(max(b.last_sequence), 0) as sequence, coalesce((array_agg(b.resume_at order by b.number desc))[1], '0') as resume_at
                from (select * from ledger.blocks order by number desc limit 1) b
            ), unsealed as materialized (
                select t.id, t.decided_at, t.account_ids from last l
                join ledger.transactions t
                    on t.xact >= case when l.resume_at <= pg_snapshot_xmax(pg_current_snapshot()) then l.resume_at else '0'::xid8 end
                where not exists (select from ledger.journal j where j.transaction_id = t.id)
            ), change as materialized (
                select e.account_id, sum(e.amount) as amount
                from unsealed u cross join unnest(u.account_ids) i(account_id)
                join ledger.entries e on e.account_id = i.account_id and e.posted_at = u.decided_at and e.transaction_id = u.id
                group by e.account_id)
            select l.sequence, (select count(*) from unsealed), exists (
                select from change c join ledger.accounts a on a.id = c.account_id
                where a.shard is null and (a.posted - c.amount < -a.credit_limit or (a.status = 'closed' and a.posted <> c.amount)))
            from last l
            """, connection) { CommandTimeout = 0 };
        await using var reader = await read.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return (reader.GetInt64(0), reader.GetInt64(1), reader.GetBoolean(2));
    }

    private async Task ReadCurrenciesAsync(NpgsqlConnection connection, bool isWritten, CancellationToken cancellationToken)
    {
        await using var read = new NpgsqlCommand("""
            select c.code, c.name, c.exponent, c.enabled,
                array(select a.id from ledger.accounts a where a.kind = 'settlement' and a.currency = c.code order by a.shard),
                array(select a.id from ledger.accounts a where a.kind = 'exchange' and a.currency = c.code order by a.shard)
            from ledger.currencies c order by c.code collate "C"
            """, connection) { CommandTimeout = 0 };
        await using var row = await read.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
        {
            var currency = new Currency(row.GetString(0), row.GetString(1), row.GetInt16(2), row.GetBoolean(3));
            _currencies[currency.Code] = currency;
            if (isWritten)
                await WriteAsync(new CurrencyLine(
                    currency.Code, currency.Name, currency.Exponent, currency.Enabled, row.GetFieldValue<Guid[]>(4), row.GetFieldValue<Guid[]>(5)), cancellationToken);
        }
    }

    private async Task WritePeriodAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var read = new NpgsqlCommand("select closed_until from ledger.closing where closed_until > '-infinity'", connection);
        if (await read.ExecuteScalarAsync(cancellationToken) is DateTime closedUntil)
            await WriteAsync(new PeriodLine(closedUntil), cancellationToken);
    }

    private async Task WriteUsersAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var read = new NpgsqlCommand("""
            select u.id, u.external_id, u.email, u.name, u.metadata, u.created_at, u.frozen_at, u.closed_at,
                array(select l.login_provider from identity.user_logins l where l.user_id = u.id order by l.login_provider, l.provider_key),
                array(select l.provider_key from identity.user_logins l where l.user_id = u.id order by l.login_provider, l.provider_key)
            from identity.users u order by u.id
            """, connection) { CommandTimeout = 0 };
        await using var row = await read.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
        {
            var logins = row.GetFieldValue<string[]>(8).Zip(row.GetFieldValue<string[]>(9), (provider, subject) => new LoginPart(provider, subject)).ToArray();
            await WriteAsync(new UserLine
            {
                Id = row.GetGuid(0),
                ExternalId = Text(row, 1),
                Email = Text(row, 2),
                Name = Text(row, 3),
                Metadata = JsonText.Of(Text(row, 4)),
                Logins = logins is [] ? null : logins,
                CreatedAt = row.GetDateTime(5),
                FrozenAt = Time(row, 6),
                ClosedAt = Time(row, 7),
            }, cancellationToken);
            _report.Users++;
        }
    }

    private async Task WriteAccountsAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var read = new NpgsqlCommand("""
            select a.id, a.kind, a.owner_id, a.name, a.currency, a.status, a.credit_limit, a.metadata, a.opened_at
            from ledger.accounts a where a.shard is null order by a.id
            """, connection) { CommandTimeout = 0 };
        await using var row = await read.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
        {
            await WriteAsync(new AccountLine
            {
                Id = row.GetGuid(0),
                Kind = row.GetString(1),
                OwnerId = row.IsDBNull(2) ? null : row.GetGuid(2),
                Name = row.GetString(3),
                Currency = row.GetString(4),
                Status = row.GetString(5),
                CreditLimit = _currencies[row.GetString(4)].FormatAmount(row.GetInt64(6)),
                Metadata = JsonText.Of(Text(row, 7)),
                OpenedAt = row.GetDateTime(8),
            }, cancellationToken);
            _report.Accounts++;
        }
    }

    private async Task WriteTransactionsAsync(NpgsqlConnection connection, long after, long through, CancellationToken cancellationToken)
    {
        var places = new List<(long Sequence, Guid Id, byte[] Digest)>();
        await using (var list = new NpgsqlCommand("""
            select j.sequence, t.id, t.digest from ledger.journal j join ledger.transactions t on t.id = j.transaction_id
            where j.sequence > $1 and j.sequence <= $2 order by j.sequence
            """, connection) { CommandTimeout = 0, Parameters = { new() { Value = after }, new() { Value = through } } })
        await using (var row = await list.ExecuteReaderAsync(cancellationToken))
        {
            while (await row.ReadAsync(cancellationToken))
                places.Add((row.GetInt64(0), row.GetGuid(1), row.GetFieldValue<byte[]>(2)));
        }
        var transactions = (await TransactionReader.LoadAsync(connection, [.. places.Select(place => place.Id)], cancellationToken)).ToDictionary(transaction => transaction.Id);
        var canonical = new CanonicalWriter();
        for (var sequence = after + 1; sequence <= through; sequence++)
        {
            var at = (int)(sequence - after - 1);
            // The file would say as a fact what the ledger itself can tell to be wrong.
            if (at >= places.Count || places[at].Sequence != sequence || !TransactionDigest.Of(transactions[places[at].Id], canonical).AsSpan().SequenceEqual(places[at].Digest))
                throw new ExportException($"The transaction at sequence {sequence} is missing or not as it was decided. Run ledger verify --full.");
            var line = LineOf(transactions[places[at].Id], sequence, places[at].Digest);
            _digest = line.Digest;
            await WriteAsync(line, cancellationToken);
            _report.Transactions++;
        }
    }

    private TransactionLine LineOf(Transaction transaction, long sequence, byte[] digest)
    {
        var hasAmount = transaction.Currency.Length > 0;
        return new TransactionLine
        {
            Sequence = sequence,
            Id = transaction.Id,
            Kind = transaction.Kind,
            Status = transaction.Status,
            PrincipalId = transaction.PrincipalId,
            OwnerId = transaction.OwnerId,
            RecipientId = transaction.RecipientId,
            Currency = hasAmount ? transaction.Currency : null,
            Amount = hasAmount ? Format(transaction.Amount) : null,
            Reference = transaction.Reference,
            Metadata = JsonText.Of(transaction.Metadata),
            Details = JsonText.Of(transaction.Details),
            CreatedAt = transaction.CreatedAt,
            DecidedAt = transaction.DecidedAt!.Value,
            EffectiveAt = transaction.EffectiveAt,
            Reverses = transaction.Reverses,
            HoldId = transaction.HoldId,
            Rejection = transaction.Rejection is { } rejection ? PartOf(rejection, transaction) : null,
            Failure = transaction.Failure,
            Entries = [.. transaction.Entries.Select(entry => new EntryPart(
                entry.Amount.Currency, Format(entry.Amount), entry.AccountId,
                entry.BalanceAfter is { } balance ? Format(entry.Amount with { MinorUnits = balance }) : null))],
            Digest = Convert.ToHexStringLower(digest),
        };
    }

    private RejectionPart PartOf(Rejection rejection, Transaction transaction)
    {
        if (rejection.Available is not { } available)
            return new(rejection.Code, rejection.Index);
        var currency = (rejection.Required ?? transaction.Amount).Currency;
        return new(rejection.Code, rejection.Index, currency, Format(new Money(available, currency)));
    }

    private string Format(Money amount) => _currencies.Named(amount.Currency).FormatAmount(amount);

    private async Task WriteKeysAsync(NpgsqlConnection connection, ExportLine section, KeyLine? last, CancellationToken cancellationToken)
    {
        var (principal, key) = (last?.PrincipalId ?? Guid.Empty, last?.Key ?? "");
        while (true)
        {
            await using var read = new NpgsqlCommand("""
                select k.principal_id, k.key, k.request_hash, k.transaction_id
                from ledger.idempotency_keys k join ledger.journal j on j.transaction_id = k.transaction_id
                where (k.principal_id, k.key) > ($1, $2) and j.sequence > $3 and j.sequence <= $4
                order by k.principal_id, k.key limit $5
                """, connection)
            {
                CommandTimeout = 0,
                Parameters =
                {
                    new() { Value = principal }, new() { Value = key }, new() { Value = section.After }, new() { Value = section.Through }, new() { Value = KeysPerStatement },
                },
            };
            await using var row = await read.ExecuteReaderAsync(cancellationToken);
            var count = 0;
            for (; await row.ReadAsync(cancellationToken); count++)
            {
                (principal, key) = (row.GetGuid(0), row.GetString(1));
                await WriteAsync(new KeyLine(principal, key, row.GetFieldValue<byte[]>(2), row.GetGuid(3)), cancellationToken);
            }
            _report.Keys += count;
            if (count < KeysPerStatement)
                return;
        }
    }

    private async Task WriteAsync(Line line, CancellationToken cancellationToken)
    {
        await output.WriteAsync(line.Write(), cancellationToken);
        await output.WriteAsync("\n"u8.ToArray(), cancellationToken);
    }

    private static string? Text(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetString(column);

    private static DateTime? Time(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetDateTime(column);

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}

/// <summary>What a run has written.</summary>
internal sealed class ExportReport
{
    public ExportLine? Section { get; set; }
    public long Users { get; set; }
    public long Accounts { get; set; }
    public long Transactions { get; set; }
    public long Keys { get; set; }

    /// <summary>Decided transactions that were not sealed, and are not in the export.</summary>
    public long Unsealed { get; set; }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"Exported {Users} users, {Accounts} accounts, {Transactions} transactions and {Keys} idempotency keys. The file has the journal up to sequence {Section?.Through}.")
        + (Unsealed > 0 ? string.Create(CultureInfo.InvariantCulture, $" {Unsealed} decided transactions are not in it, because no worker has sealed them yet.") : "");
}
