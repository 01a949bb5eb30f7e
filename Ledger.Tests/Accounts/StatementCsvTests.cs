using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using Ledger.Api.Accounts;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Accounts;

/// <summary>What spreadsheets make of a client's text, and how much memory a long statement takes.</summary>
public sealed class StatementCsvTests(LedgerSystem system)
{
    /// <summary>Spreadsheets split at commas, semicolons or tabs, by the country's settings.</summary>
    [Fact]
    public void No_text_starts_a_formula_at_any_separator()
    {
        const string Alphabet = "=+-@'\";,\t\r\n a1|\u200B\uFF1D\u00A0";
        var random = new Random(1);
        for (var i = 0; i < 200_000; i++)
        {
            var text = string.Concat(Enumerable.Range(0, random.Next(1, 9)).Select(_ => Alphabet[random.Next(Alphabet.Length)]));
            var row = $"2026-01-01T00:00:00.000000Z,deposit,{StatementCsv.Cell(text)}\r\n";
            foreach (var separator in (char[])[',', ';', '\t'])
            {
                foreach (var cell in Parse(row, separator).SelectMany(fields => fields))
                    Assert.False(cell.TrimStart(' ', '\u00A0', '\u200B', '\t', '\r', '\n') is ['=' or '+' or '-' or '@' or '\uFF1D', ..], $"\"{text}\" became {row}, and with {(int)separator} the cell {cell}.");
            }
            Assert.Single(Parse(row, ','));
        }
    }

    [Theory]
    [InlineData("", "\"\"")]
    [InlineData("invoice 7", "\"invoice 7\"")]
    [InlineData("a \"b\"", "\"a \"\"b\"\"\"")]
    [InlineData("\t=1", "\"'\t'=1\"")]
    [InlineData("\r", "\"'\r\"")]
    [InlineData("a-b=c", "\"a-b=c\"")]
    [InlineData("a;-b", "\"a;'-b\"")]
    [InlineData("o'clock", "\"o'clock\"")]
    [InlineData("'=1", "\"''=1\"")]
    public void Cell_is_quoted_and_marked(string text, string cell) => Assert.Equal(cell, StatementCsv.Cell(text));

    /// <summary><c>LEDGER_TEST_STATEMENT_ENTRIES</c> says how many.</summary>
    [Fact]
    public async Task Memory_does_not_grow_with_the_number_of_entries()
    {
        const int MaxGrowthMegabytes = 64;
        var count = int.TryParse(Environment.GetEnvironmentVariable("LEDGER_TEST_STATEMENT_ENTRIES"), CultureInfo.InvariantCulture, out var said) ? said : 200_000;
        await using var database = await system.FreshLedgerAsync();
        // A data source does not tell its password.
        var address = new NpgsqlConnectionStringBuilder(await system.ConnectionStringAsync()) { Database = new NpgsqlConnectionStringBuilder(database.ConnectionString).Database };
        var process = await system.StartApiProcessAsync(("ConnectionStrings__ledgerdb", address.ConnectionString));
        using var api = new LedgerApi(process.Address!, (IDisposable)process);
        var user = await api.NewUserAsync();
        var account = Guid.CreateVersion7();
        await using (var connection = await database.OpenConnectionAsync(TestContext.Current.CancellationToken))
        await using (var fill = new NpgsqlCommand($"""
            set session_replication_role = replica;
            insert into ledger.accounts (id, kind, owner_id, name, currency) values ('{account}', 'user', '{user.Id}', 'main', 'USD');
            create temporary table made as select i, gen_random_uuid() as id, timestamptz '2026-01-01 00:00:00Z' + i * interval '1 second' as at from generate_series(1, {count}) i;
            insert into ledger.transactions (id, kind, status, principal_id, owner_id, account_ids, currency, amount, reference, created_at, decided_at, digest)
            select id, 'deposit', 'posted', '{user.Id}', '{user.Id}', array['{account}'::uuid], 'USD', 1, 'Reference ' || i, at, at, sha256('') from made;
            insert into ledger.entries (account_id, posted_at, transaction_id, currency, amount, balance_after)
            select '{account}', at, id, 'USD', 1, i from made order by i;
            reset session_replication_role;
            analyze
            """, connection) { CommandTimeout = 300 })
            await fill.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        // Once to warm up: the first pages compile code and fill pools.
        await ReadAsync($"?to={new DateTime(2026, 1, 1, 1, 0, 0, DateTimeKind.Utc):yyyy-MM-dd'T'HH:mm:ss'Z'}");
        var (before, peak) = (Resident("VmRSS"), 0L);
        using var over = new CancellationTokenSource();
        var watching = Task.Run(async () =>
        {
            for (; !over.IsCancellationRequested; await Task.Delay(20, CancellationToken.None))
                peak = Math.Max(peak, Resident("VmRSS"));
        });
        var start = Stopwatch.GetTimestamp();
        var (lines, last, bytes) = await ReadAsync("");
        var took = Stopwatch.GetElapsedTime(start);
        await over.CancelAsync();
        await watching;

        TestContext.Current.SendDiagnosticMessage(
            $"A statement of {count} entries, {bytes >> 20} MB of CSV in {took.TotalSeconds:0.0} s: {before} MB resident before, {peak} MB at most while it was written");
        Assert.Equal(count + 3, lines);
        Assert.Equal($",,,closing_balance,,{count / 100}.{count % 100:00},USD,", last);
        Assert.InRange(peak - before, long.MinValue, MaxGrowthMegabytes);

        long Resident(string name) => long.Parse(
            File.ReadLines($"/proc/{process.Pid}/status").Single(line => line.StartsWith(name, StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2],
            CultureInfo.InvariantCulture) / 1024;

        async Task<(int Lines, string? Last, long Bytes)> ReadAsync(string query)
        {
            using var http = new HttpClient { Timeout = TimeSpan.FromMinutes(5) };
            http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", user.Token);
            http.DefaultRequestHeaders.Accept.ParseAdd("text/csv");
            using var reader = new StreamReader(await http.GetStreamAsync(new Uri(api.Address, $"/api/v1/accounts/{account}/entries{query}")));
            var (read, latest, size) = (0, (string?)null, 0L);
            while (await reader.ReadLineAsync() is { } line)
                (read, latest, size) = (read + 1, line, size + line.Length + 2);
            return (read, latest, size);
        }
    }

    /// <summary>As spreadsheets read CSV: quotes count at the start of a field only, and what stands behind the closing one belongs to the field.</summary>
    internal static IEnumerable<string[]> Parse(string csv, char separator)
    {
        var (fields, field, isQuoted) = (new List<string>(), new StringBuilder(), false);
        var isStart = true;
        for (var i = 0; i < csv.Length; i++)
        {
            if (isQuoted)
            {
                if (csv[i] != '"')
                    field.Append(csv[i]);
                else if (i + 1 < csv.Length && csv[i + 1] == '"')
                    field.Append(csv[i++]);
                else
                    isQuoted = false;
            }
            else if (isStart && csv[i] == '"')
            {
                (isQuoted, isStart) = (true, false);
            }
            else if (csv[i] == separator)
            {
                fields.Add(field.ToString());
                field.Clear();
                isStart = true;
            }
            else if (csv[i] is '\n' || (csv[i] is '\r' && i + 1 < csv.Length && csv[i + 1] == '\n'))
            {
                fields.Add(field.ToString());
                yield return [.. fields];
                fields.Clear();
                field.Clear();
                isStart = true;
                i += csv[i] is '\r' ? 1 : 0;
            }
            else
            {
                field.Append(csv[i]);
                isStart = false;
            }
        }
        // A row without an end, as a quote that is not closed leaves it.
        if (fields.Count > 0 || field.Length > 0 || isQuoted)
            yield return [.. fields, field.ToString()];
    }
}
