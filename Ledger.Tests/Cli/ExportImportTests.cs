using System.Diagnostics;
using System.Text.RegularExpressions;
using Ledger.Cli.Export;
using Ledger.Cli.Import;
using Ledger.Core.Currencies;
using Ledger.Core.Journal;
using Ledger.Core.Persistence;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Cli;

/// <summary><c>ledger export</c> and <c>ledger import</c>, each test on databases of its own.</summary>
public sealed partial class ExportImportTests(LedgerSystem system)
{
    [Fact]
    public async Task Import_of_an_export_gives_the_same_ledger_and_a_second_run_changes_nothing()
    {
        await using var source = await system.FreshLedgerAsync();
        await using var copy = await system.FreshLedgerAsync();
        using var file = new TemporaryFile();
        var market = await FillAsync(source);

        var exported = await RunAsync(source, "export", "--out", file.Path);
        var imported = await RunAsync(copy, "import", file.Path);
        await LedgerCopy.MustBeSameAsync(source, copy);
        var again = await RunAsync(copy, "import", file.Path);

        Assert.Equal((0, 0, 0), (exported.ExitCode, imported.ExitCode, again.ExitCode));
        Assert.Contains(imported.Output, line => line.Contains("The file is imported.", StringComparison.Ordinal));
        Assert.Contains("every rule holds", imported.Output[^1], StringComparison.Ordinal);
        Assert.Contains(again.Output, line => line.Contains("Nothing was changed.", StringComparison.Ordinal));
        await LedgerCopy.MustBeSameAsync(source, copy);

        // The copy goes on as a ledger does: its next transaction is sealed behind the imported ones.
        var sequence = await Books.NumberAsync(copy, "select max(sequence) from ledger.journal");
        await PostAsync(copy, market.Deposit(market.Users[0], 100));
        await LedgerCopy.SealAsync(copy);
        Assert.Equal(sequence + 1, await Books.NumberAsync(copy, "select max(sequence) from ledger.journal"));
        await LedgerCopy.MustBeSoundAsync(copy);
        var late = await RunAsync(copy, "import", file.Path);
        Assert.Equal(0, late.ExitCode);
        Assert.Contains(late.Output, line => line.Contains("Nothing was changed.", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Import_that_is_killed_leaves_whole_chunks_and_frozen_accounts_and_the_next_run_finishes_it()
    {
        await using var source = await system.FreshLedgerAsync();
        await using var copy = await system.FreshLedgerAsync();
        using var file = new TemporaryFile();
        var market = await FillAsync(source);
        for (var batch = 0; batch < 5; batch++)
            await PostAsync(source, [.. Enumerable.Range(0, 600).Select(place => market.Transfer(market.Users[place % 2], market.Users[(place + 1) % 2], 1))]);
        await LedgerCopy.SealAsync(source);
        await LedgerCopy.ExportAsync(source, file.Path);

        using (var import = Start(await AddressAsync(copy), "import", file.Path))
        {
            await Eventually.TrueAsync(async () => await Books.NumberAsync(copy, "select count(*) from ledger.blocks") > 0);
            await using var connection = await copy.OpenConnectionAsync();
            await using var hold = await connection.BeginTransactionAsync();
            await using (var command = new NpgsqlCommand("lock table ledger.blocks in share mode", connection))
                await command.ExecuteNonQueryAsync();
            Assert.False(import.HasExited);
            import.Kill(entireProcessTree: true);
            await import.WaitForExitAsync();
        }

        await Eventually.TrueAsync(async () => await Books.NumberAsync(copy, "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())") == 0);
        await LedgerCopy.MustBeSoundAsync(copy);
        Assert.InRange(await Books.NumberAsync(copy, "select count(*) from ledger.transactions"), 1, await Books.NumberAsync(source, "select count(*) from ledger.transactions") - 1);
        Assert.Equal(0, await Books.NumberAsync(copy, "select count(*) from ledger.accounts where shard is null and status <> 'frozen'"));
        await LedgerCopy.ImportAsync(copy, file.Path);
        await LedgerCopy.MustBeSameAsync(source, copy);
    }

    [Fact]
    public async Task Export_that_was_cut_off_anywhere_goes_on_as_a_whole_one()
    {
        await using var source = await system.FreshLedgerAsync();
        using var whole = new TemporaryFile();
        using var part = new TemporaryFile();
        await FillAsync(source);
        await LedgerCopy.ExportAsync(source, whole.Path);
        var bytes = await File.ReadAllBytesAsync(whole.Path);

        // Many places within lines, and the ends of the last lines: of transactions, keys and the section.
        var ends = bytes.Index().Where(item => item.Item == '\n').Select(item => item.Index + 1).TakeLast(8).SkipLast(1);
        foreach (var length in Enumerable.Range(0, 20).Select(place => bytes.Length / 20 * place).Concat(ends).Concat(ends.Select(end => end + 3)))
        {
            await File.WriteAllBytesAsync(part.Path, bytes[..length]);
            await LedgerCopy.ExportAsync(source, part.Path);
            var resumed = await File.ReadAllBytesAsync(part.Path);
            Assert.True(bytes.AsSpan().SequenceEqual(resumed), $"The export that was cut off at {length} is another one.");
        }
    }

    [Fact]
    public async Task Export_goes_on_with_later_transactions_and_the_import_of_the_file_is_the_same_ledger()
    {
        await using var source = await system.FreshLedgerAsync();
        await using var copy = await system.FreshLedgerAsync();
        using var file = new TemporaryFile();
        var market = await FillAsync(source);
        await LedgerCopy.ExportAsync(source, file.Path);
        await LedgerCopy.ImportAsync(copy, file.Path);

        // A user that changes, an account that is new, and a limit that the first part does not have.
        await Books.ExecuteAsync(source, "update identity.users set name = 'Renamed' where id = $1", market.Users[0]);
        await Books.ExecuteAsync(source, "update ledger.accounts set credit_limit = 50000 where owner_id = $1 and name = 'main' and currency = $2", market.Users[0], market.Currency);
        var savings = await market.NewAccountAsync(market.Users[1], "later");
        await PostAsync(source, market.Withdrawal(market.Users[0], await market.BalanceAsync(market.Users[0]) + 20_000), market.Transfer(market.Users[1], savings, 1));
        await LedgerCopy.SealAsync(source);
        await LedgerCopy.ExportAsync(source, file.Path);

        await LedgerCopy.ImportAsync(copy, file.Path);
        await LedgerCopy.MustBeSameAsync(source, copy);
        await using var other = await system.FreshLedgerAsync();
        await LedgerCopy.ImportAsync(other, file.Path);
        await LedgerCopy.MustBeSameAsync(source, other);
    }

    [Fact]
    public async Task Changed_line_is_refused_by_its_number_before_anything_is_written()
    {
        await using var source = await system.FreshLedgerAsync();
        await using var copy = await system.FreshLedgerAsync();
        using var file = new TemporaryFile();
        await FillAsync(source);
        await LedgerCopy.ExportAsync(source, file.Path);
        var lines = await File.ReadAllLinesAsync(file.Path);
        var deposit = Array.FindIndex(lines, line => line.Contains("\"amount\":\"1000.00\"", StringComparison.Ordinal));
        var user = Array.FindIndex(lines, line => line.Contains("@example.com\"", StringComparison.Ordinal));

        await RefusedAsync(deposit, line => line.Replace("\"amount\":\"1000.00\"", "\"amount\":\"1000.01\"", StringComparison.Ordinal), "sum to zero|digest");
        await RefusedAsync(deposit, line => line.Replace("\"balanceAfter\":\"1000.00\"", "\"balanceAfter\":\"2000.00\"", StringComparison.Ordinal), "digest");
        await RefusedAsync(deposit, line => Regex.Replace(line, "\"decidedAt\":\"20..", "\"decidedAt\":\"1999", RegexOptions.None), "digest");
        await RefusedAsync(deposit, line => Regex.Replace(line, "\"decidedAt\":\"20..", "\"decidedAt\":\"2999", RegexOptions.None), "future");
        await RefusedAsync(deposit, line => line.Replace("\"sequence\":", "\"sequence\":1", StringComparison.Ordinal), "its place in the file is");
        await RefusedAsync(deposit, line => line.Replace("\"kind\":\"deposit\"", "\"kind\":\"gift\"", StringComparison.Ordinal), "kind takes deposit, ");
        await RefusedAsync(deposit, line => line[..^20], "JSON|string");
        await RefusedAsync(deposit, line => line.Replace("\"kind\":", "\"sort\":", StringComparison.Ordinal), "sort");
        await RefusedAsync(user, line => Regex.Replace(line, "@example.com", " at example.com", RegexOptions.None), "is no e-mail address");
        await RefusedAsync(user, line => line.Replace("\"type\":\"user\"", "\"type\":\"person\"", StringComparison.Ordinal), "person");
        await RefusedAsync(lines.Length - 1, _ => "", "interrupted");
        await RefusedAsync(deposit, _ => "", "sequence");

        async Task RefusedAsync(int place, Func<string, string> change, string reason)
        {
            var changed = change(lines[place]);
            Assert.NotEqual(lines[place], changed);
            await File.WriteAllLinesAsync(file.Path, [.. lines[..place], changed, .. lines[(place + 1)..]]);
            var refusal = await Assert.ThrowsAsync<ImportException>(() => LedgerCopy.ImportAsync(copy, file.Path));
            Assert.Matches(reason, refusal.Message);
            Assert.Matches(changed.Length == 0 ? "^line \\d+: " : $"^line {place + 1}: ", refusal.Message);
            Assert.Equal(0, await Books.NumberAsync(copy, "select (select count(*) from identity.users) + (select count(*) from ledger.transactions)"));
        }
    }

    [Fact]
    public async Task Line_that_the_books_do_not_allow_is_refused_by_its_number_and_leaves_no_half_chunk()
    {
        await using var database = await system.FreshLedgerAsync();
        await using var other = await system.FreshLedgerAsync();
        var (ana, main) = (Guid.Empty, Guid.Empty);

        await RefusedAsync(database, 4, "is later than the one before", () => [.. Head(), Deposit("1.00", "2026-01-01T00:00:00Z")]);
        await RefusedAsync(database, 4, "balanceAfter is 10000 minor units, and the entries up to it sum to 10100", () => [.. Head(), Deposit("1.00", "2026-01-02T00:00:00Z", "100.00")]);
        await RefusedAsync(database, 4, "there is no account", () => [.. Head(), Without(main, Deposit("1.00", "2026-01-02T00:00:00Z"))]);
        await RefusedAsync(database, 2, "there is no user", () => Head() is var head ? [head[0], Without(ana, head[1]), head[2]] : []);
        await RefusedAsync(database, 2, "there is no currency XYZ", () => Head() is var head ? [head[0], head[1].Replace("EUR", "XYZ", StringComparison.Ordinal), head[2]] : []);
        await RefusedAsync(database, 2, "creditLimit: account .* has -900 minor units", () => [.. Head(), Deposit("-109.00", "2026-01-02T00:00:00Z")]);
        await RefusedAsync(other, 2, "A closed account is empty", () => Head() is var head ? [head[0], head[1].Replace("\"name\"", "\"status\":\"closed\",\"name\"", StringComparison.Ordinal), head[2]] : []);

        string[] Head()
        {
            (ana, main) = (Guid.CreateVersion7(), Guid.CreateVersion7());
            return
            [
                $$"""{"type":"user","id":"{{ana}}"}""",
                $$"""{"type":"account","id":"{{main}}","kind":"user","ownerId":"{{ana}}","name":"main","currency":"EUR"}""",
                Deposit("100.00", "2026-01-01T00:00:00Z"),
            ];
        }

        // A negative amount is a withdrawal.
        string Deposit(string amount, string time, string? balance = null) => $$"""
            {"type":"transaction","id":"{{Guid.CreateVersion7()}}","kind":"{{(amount[0] == '-' ? "withdrawal" : "deposit")}}","ownerId":"{{ana}}","currency":"EUR","amount":"{{amount.TrimStart('-')}}","decidedAt":"{{time}}","entries":[{"currency":"EUR","amount":"{{(amount[0] == '-' ? amount[1..] : "-" + amount)}}"},{"accountId":"{{main}}","currency":"EUR","amount":"{{amount}}"{{(balance is null ? "" : $",\"balanceAfter\":\"{balance}\"")}}}]}
            """;

        static string Without(Guid id, string line) => line.Replace(id.ToString(), Guid.CreateVersion7().ToString(), StringComparison.Ordinal);

        async Task RefusedAsync(NpgsqlDataSource ledger, int line, string reason, Func<string[]> lines)
        {
            using var file = new TemporaryFile();
            await File.WriteAllLinesAsync(file.Path, lines());
            var (exitCode, _, errors) = await RunAsync(ledger, "import", file.Path);
            Assert.Equal(1, exitCode);
            Assert.Matches($"line {line}: .*({reason})", string.Join(' ', errors));
            await LedgerCopy.MustBeSoundAsync(ledger);
            Assert.Equal(0, await Books.NumberAsync(ledger, "select count(*) from ledger.accounts where status <> 'frozen' and shard is null"));
        }
    }

    [Fact]
    public async Task Ledger_with_other_transactions_or_a_worker_takes_no_import_and_holds_are_not_exported()
    {
        await using var source = await system.FreshLedgerAsync();
        await using var used = await system.FreshLedgerAsync();
        using var file = new TemporaryFile();
        await FillAsync(source);
        await LedgerCopy.ExportAsync(source, file.Path);
        var market = await Market.OpenAsync(used, 1);
        await PostAsync(used, market.Deposit(market.Users[0], 1));

        Assert.Contains("not of this file", (await Assert.ThrowsAsync<ImportException>(() => LedgerCopy.ImportAsync(used, file.Path))).Message, StringComparison.Ordinal);
        await LedgerCopy.SealAsync(used);
        Assert.Contains("another transaction at sequence 1", (await Assert.ThrowsAsync<ImportException>(() => LedgerCopy.ImportAsync(used, file.Path))).Message, StringComparison.Ordinal);
        await LedgerCopy.MustBeSoundAsync(used);
        await using var other = await system.FreshLedgerAsync();
        await using (var worker = await other.OpenConnectionAsync())
        {
            await using var sealing = await AdvisoryLock.TryTakeAsync(worker, Sealer.Lock, CancellationToken.None);
            Assert.Contains("a worker", (await Assert.ThrowsAsync<ImportException>(() => LedgerCopy.ImportAsync(other, file.Path))).Message, StringComparison.Ordinal);
        }
        Assert.Contains("export of another ledger", (await Assert.ThrowsAsync<ExportException>(() => LedgerCopy.ExportAsync(used, file.Path))).Message, StringComparison.Ordinal);

        await Books.ExecuteAsync(source, """
            insert into ledger.holds (id, account_id, principal_id, owner_id, currency, created_at, expires_at)
            select gen_random_uuid(), id, owner_id, owner_id, currency, now(), now() + interval '1 day' from ledger.accounts where kind = 'user' limit 1
            """);
        var (exitCode, _, errors) = await RunAsync(source, "export");
        Assert.Equal(1, exitCode);
        Assert.Contains("holds", Assert.Single(errors), StringComparison.Ordinal);
    }

    /// <summary>Transactions are sealed a moment after they are decided. An account that is closed in between would not be empty in the export.</summary>
    [Fact]
    public async Task Export_waits_until_what_emptied_a_closed_account_is_sealed()
    {
        await using var source = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(source, 1);
        var savings = await market.NewAccountAsync(market.Users[0], "savings");
        await PostAsync(source, market.Deposit(market.Users[0], 100), market.Transfer(market.Users[0], savings, 100));
        await LedgerCopy.SealAsync(source);
        await PostAsync(source, market.Withdrawal(market.Users[0], 100) with { Terms = new CommandTerms { AccountId = savings } });
        await Books.ExecuteAsync(source, "update ledger.accounts set status = 'closed' where id = $1", savings);
        using var file = new TemporaryFile();

        var export = LedgerCopy.ExportAsync(source, file.Path);
        await Eventually.TrueAsync(async () => await Books.NumberAsync(source, "select count(*) from pg_stat_activity where datname = current_database() and query like 'with last as%'") > 0);
        Assert.False(export.IsCompleted);
        await LedgerCopy.SealAsync(source);

        Assert.Equal((3, 0), ((await export).Transactions, (await export).Unsealed));
        await using var copy = await system.FreshLedgerAsync();
        await LedgerCopy.ImportAsync(copy, file.Path);
        await LedgerCopy.MustBeSameAsync(source, copy);
    }

    [Fact]
    public async Task File_of_the_page_is_imported()
    {
        await using var database = await system.FreshLedgerAsync();
        using var file = new TemporaryFile();
        await File.WriteAllTextAsync(file.Path, HandWritten().Match(Repository.Read("docs/export.md")).Groups["lines"].Value);

        var (exitCode, output, errors) = await RunAsync(database, "import", file.Path);

        Assert.True(exitCode == 0, string.Join('\n', output.Concat(errors)));
        Assert.Equal(
            ["Ana main 120.00", "Ben main 0.00", "Ben savings 35.50", "house fees 2.00"],
            await Books.TextsAsync(database, """
                select concat_ws(' ', coalesce(u.name, a.kind), a.name, round(a.posted / 100.0, 2)) from ledger.accounts a
                left join identity.users u on u.id = a.owner_id where a.shard is null order by 1
                """));
        Assert.Equal(10_000, await Books.NumberAsync(database, "select sum(amount) from ledger.entries e join ledger.accounts a on a.id = e.account_id where a.name = 'main' and posted_at <= '2025-12-31T23:00:00Z'"));
        await LedgerCopy.MustBeSoundAsync(database);
    }

    /// <summary>A ledger with every kind and outcome, users and accounts in every state, and texts that are hard to write.</summary>
    private static async Task<Market> FillAsync(NpgsqlDataSource database)
    {
        var market = await Market.OpenAsync(database, users: 4);
        var other = await Market.OpenAsync(database, users: 0);
        var (ana, ben, closed, frozen) = (market.Users[0], market.Users[1], market.Users[2], market.Users[3]);
        var sender = await market.NewOperatorAsync();
        var fees = await market.NewHouseAccountAsync("fees", creditLimit: 500);
        var (savings, spent) = (await market.NewAccountAsync(ben, "savings é\"\\"), await market.NewAccountAsync(ben, "spent"));
        await Books.ExecuteAsync(database, """
            update identity.users set external_id = 'customer é', name = 'Ana "A" \ 😀', metadata = '{ "k" : "v\"\u00e9" }' where id = $1;
            """, ana);
        await Books.ExecuteAsync(database, "insert into identity.user_logins (login_provider, provider_key, user_id) values ('https://login.example.com', 'subject-1', $1)", ben);
        await Books.ExecuteAsync(database, "update ledger.accounts set metadata = '{\"a\":\"b\"}' where id = $1", savings);
        var past = new DateTime(2020, 1, 2, 3, 4, 5, DateTimeKind.Utc).AddMicroseconds(6);

        var deposit = market.Deposit(ana, 100_000, key: "key é") with { Reference = "a\\b\t\"c\"é😀</script>", Metadata = """{"k":"v\\\"\u00e9😀"}""" };
        await PostAsync(database, deposit, market.Deposit(closed, 700), market.Deposit(ben, 5_000, key: "second"), market.Deposit(frozen, 10));
        await Books.ExecuteAsync(database, "update ledger.accounts set credit_limit = 90000 where owner_id = $1", ben);
        var journal = market.Journal(sender, market.Posting(new(UserId: ana), new(UserId: ben), 97), market.Posting(new(UserId: ana), new(House: fees), 3));
        await PostAsync(
            database,
            market.Withdrawal(closed, 700), market.Withdrawal(ben, 20_000), market.Transfer(ana, ben, 30_000), market.Transfer(ben, spent, 5),
            market.Transfer(ana, ben, 999_999), market.Transfer(ana, null, 5), journal,
            market.Journal(sender, market.Posting(new(House: fees), new(UserId: ana), 600)),
            market.Exchange(sender, ana, 100, new Money(250, other.Currency)),
            market.Deposit(ben, 40) with { PrincipalId = sender, Terms = new CommandTerms { EffectiveAt = past } });
        await PostAsync(database, market.Reversal(sender, journal), market.Withdrawal(ben, 5) with { Terms = new CommandTerms { AccountId = spent } });
        await using (var connection = await database.OpenConnectionAsync())
            await FailedCommands.RecordAsync(connection, market.Deposit(ana, 1, key: "failed"), "no batch could post it", TimeSpan.Zero, isPoison: false, CancellationToken.None);
        await Books.ExecuteAsync(database, "update ledger.accounts set credit_limit = 0 where owner_id = $1", ben);
        await Books.ExecuteAsync(database, "update ledger.accounts set status = 'closed' where id = $1", spent);
        await Books.ExecuteAsync(database, $"select set_config('ledger.caller', '{sender}', true); select ledger.close_books('2021-01-01T00:00:00Z')");
        await Books.ExecuteAsync(database, "select identity.set_frozen($1, true)", frozen);
        Assert.Equal(["changed"], await Books.TextsAsync(database, "select identity.close_user($1, $2)", closed, sender));
        await LedgerCopy.SealAsync(database);
        return market;
    }

    private static async Task PostAsync(NpgsqlDataSource database, params Command[] commands)
    {
        await using var connection = await database.OpenConnectionAsync();
        await new PostingEngine().PostAsync(connection, commands, CancellationToken.None);
    }

    private async Task<string> AddressAsync(NpgsqlDataSource database) => new NpgsqlConnectionStringBuilder(await system.ConnectionStringAsync())
    {
        Database = new NpgsqlConnectionStringBuilder(database.ConnectionString).Database,
    }.ConnectionString;

    private async Task<(int ExitCode, string[] Output, string[] Errors)> RunAsync(NpgsqlDataSource database, params string[] arguments) =>
        await Tool.RunAsync("ledger", arguments, new Dictionary<string, string?> { ["ConnectionStrings__ledgerdb"] = await AddressAsync(database) });

    private static Process Start(string address, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "ledger.dll"), .. arguments]);
        start.Environment["ConnectionStrings__ledgerdb"] = address;
        return Process.Start(start)!;
    }

    [GeneratedRegex(@"^```jsonl\n(?<lines>.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex HandWritten();
}
