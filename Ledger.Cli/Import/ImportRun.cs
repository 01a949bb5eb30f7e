using Ledger.Cli.Access;
using Ledger.Cli.Export;
using Ledger.Core.Currencies;
using Ledger.Core.Identity;
using Ledger.Core.Journal;
using Ledger.Core.Persistence;
using Npgsql;

namespace Ledger.Cli.Import;

/// <summary>
/// Imports a file in committed steps, in the order of its lines: users and accounts in groups, transactions in chunks that are a block of
/// the journal each. Accounts are frozen until the last step gives them their status and limit. A run that follows an interrupted one
/// finds what is there already.
/// </summary>
internal sealed class ImportRun(NpgsqlDataSource database, string path)
{
    private const int LinesPerStep = 1_000;

    private readonly ImportReport _report = new();
    private readonly Dictionary<string, Currency> _currencies = [];

    /// <exception cref="ImportException">The file, or the ledger, does not allow it.</exception>
    public async Task<ImportReport> RunAsync(CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var alone = await AdvisoryLock.TryTakeAsync(connection, Sealer.Lock, cancellationToken)
            ?? throw new ImportException("a worker, or another import, is running on this ledger. Stop it first.");
        var file = new ImportFile(path, _currencies, await ReadLedgerAsync(connection, cancellationToken));
        var (counts, hash) = await file.CheckAsync(cancellationToken);
        if (await ImportedBeforeAsync(connection, hash, cancellationToken) is { } before)
        {
            _report.ImportedBefore = before;
            foreach (var (type, count) in counts)
                _report.Add(type, 0, count);
        }
        else
        {
            await WriteAsync(connection, file, hash, cancellationToken);
        }
        await ReadSumsAsync(connection, cancellationToken);
        return _report;
    }

    private async Task WriteAsync(NpgsqlConnection connection, ImportFile file, string hash, CancellationToken cancellationToken)
    {
        var check = new LineCheck(_currencies, DateTime.MaxValue);
        var parties = new PartyStep(connection, check, database);
        var transactions = await TransactionStep.BeginAsync(connection, check, cancellationToken);
        await parties.BeginAsync(cancellationToken);
        DateTime? closedUntil = null;

        var step = new List<(long Number, Line Line)>();
        await foreach (var (number, line) in file.ReadAsync(hash: null, cancellationToken))
        {
            if (line is ExportLine or EndLine)
                continue;
            if (line is PeriodLine period)
            {
                closedUntil = period.ClosedUntil;
                continue;
            }
            if (step.Count == LinesPerStep || (step.Count > 0 && step[^1].Line.GetType() != line.GetType()))
                await StepAsync();
            step.Add((number, line));
        }
        if (step.Count > 0)
            await StepAsync();
        try
        {
            await parties.EndAsync(closedUntil, AuditEntry.Insert(AuditActions.LedgerImported, hash, $"{transactions.Count} transactions"), cancellationToken);
        }
        catch (PostgresException e) when (IsRefusal(e))
        {
            throw new ImportException($"{e.MessageText}. {e.Detail}");
        }

        async Task StepAsync()
        {
            var (first, last) = (step[0].Number, step[^1].Number);
            try
            {
                var imported = step[0].Line switch
                {
                    CurrencyLine => await parties.WriteCurrenciesAsync(Lines<CurrencyLine>(), cancellationToken),
                    UserLine => await parties.WriteUsersAsync(Lines<UserLine>(), cancellationToken),
                    AccountLine => await parties.WriteAccountsAsync(Lines<AccountLine>(), cancellationToken),
                    KeyLine => await parties.WriteKeysAsync(Lines<KeyLine>(), cancellationToken),
                    _ => await transactions.WriteAsync(Lines<TransactionLine>(), cancellationToken),
                };
                _report.Add(ImportFile.TypeOf(step[0].Line), imported, step.Count - imported);
            }
            catch (PostgresException e) when (IsRefusal(e))
            {
                throw new ImportException($"lines {first} to {last}: {e.MessageText}. {e.Detail}");
            }
            step.Clear();
        }

        List<(long, T)> Lines<T>() where T : Line => step.ConvertAll(item => (item.Number, (T)item.Line));
    }

    // Values that a column does not take, and constraints.
    private static bool IsRefusal(PostgresException e) => e.SqlState[..2] is "22" or "23";

    private async Task<DateTime> ReadLedgerAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new("set row_security = off"),
                new("select clock_timestamp(), exists (select from ledger.pending_commands), exists (select from ledger.holds)"),
                new("select code, name, exponent, enabled from ledger.currencies"),
            },
        };
        await using var row = await batch.ExecuteReaderAsync(cancellationToken);
        await row.ReadAsync(cancellationToken);
        var now = row.GetDateTime(0);
        if (row.GetBoolean(1) || row.GetBoolean(2))
            throw new ImportException("the ledger has pending commands or holds. Only an empty ledger takes an import.");
        await row.NextResultAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            _currencies[row.GetString(0)] = new Currency(row.GetString(0), row.GetString(1), row.GetInt16(2), row.GetBoolean(3));
        return now;
    }

    private static async Task<DateTime?> ImportedBeforeAsync(NpgsqlConnection connection, string hash, CancellationToken cancellationToken)
    {
        await using var find = new NpgsqlCommand("select min(at) from identity.audit where action = $1 and subject = $2", connection)
        {
            Parameters = { new() { Value = AuditActions.LedgerImported }, new() { Value = hash } },
        };
        return await find.ExecuteScalarAsync(cancellationToken) as DateTime?;
    }

    private async Task ReadSumsAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var read = new NpgsqlCommand("""
            select a.currency, count(*) filter (where a.shard is null), sum(a.posted) filter (where a.shard is null),
                (select count(*) from ledger.entries e where e.currency = a.currency)
            from ledger.accounts a group by a.currency
            having count(*) filter (where a.shard is null) > 0 or bool_or(a.posted <> 0)
            order by a.currency collate "C"
            """, connection) { CommandTimeout = 0 };
        await using var row = await read.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
        {
            var sum = row.IsDBNull(2) ? 0 : (long)row.GetDecimal(2);
            _report.Sums.Add((row.GetString(0), row.GetInt64(1), row.GetInt64(3), _currencies[row.GetString(0)].FormatAmount(sum)));
        }
    }
}
