using Ledger.Core.Journal;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Journal;

/// <summary>scripts/verify-journal.py, the journal's second reader, and the worker's verifier find the same.</summary>
public sealed class VerifyScriptTests(LedgerSystem system)
{
    [Fact]
    public async Task The_script_agrees_with_the_test_vector()
    {
        var (exitCode, output, errors) = await Repository.RunAsync("python3", [Script, "--test-vector"]);

        Assert.True(exitCode == 0, output + errors);
    }

    [Fact]
    public async Task A_live_ledger_is_as_it_must_be_while_it_goes_on()
    {
        using var over = new CancellationTokenSource();
        var user = await system.NewUserAsync("100.00");
        var moving = Task.Run(async () =>
        {
            while (!over.IsCancellationRequested)
                (await user.WithdrawAsync("0.01")).MustBe(201);
        });
        for (var run = 0; run < 3; run++)
        {
            var (exitCode, output, errors) = await RunAsync(await system.ConnectionStringAsync());

            Assert.True(exitCode == 0, output + errors);
            Assert.Contains("as they must be", output, StringComparison.Ordinal);
        }
        await over.CancelAsync();
        await moving;
    }

    // Each change is one that the database refuses to everyone but its owner, who can turn its triggers off.
    [Fact]
    public async Task A_change_of_what_was_sealed_is_found_and_named()
    {
        await using var database = await system.FreshLedgerAsync();
        var connectionString = new NpgsqlConnectionStringBuilder(await system.ConnectionStringAsync())
        {
            Database = new NpgsqlConnectionStringBuilder(database.ConnectionString).Database,
        }.ConnectionString;
        var market = await Market.OpenAsync(database, users: 2);
        var (alice, bob) = (market.Users[0], market.Users[1]);
        // Characters that JSON, psql's copy format or netstrings write differently.
        var commands = new[]
        {
            market.Deposit(alice, 1_000) with { Reference = "a\\b\t\"c\"\né😀", Metadata = """{"k":"v\\\"\n\u00e9😀"}""" },
            market.Transfer(alice, bob, 250),
            market.Transfer(bob, alice, 9_999),
            market.Withdrawal(bob, 50),
        };
        await using var connection = await database.OpenConnectionAsync();
        foreach (var command in commands)
        {
            await new PostingEngine().PostAsync(connection, [command], CancellationToken.None);
            if (command == commands[1])
                await SealAsync(connection, 2);
        }
        await SealAsync(connection, 4);
        Assert.Equal((0, ""), await FindingsAsync(database, connectionString));

        var (id, of) = (commands[1].Id, $"where transaction_id = '{commands[1].Id}' and amount > 0");
        await FoundAsync($"update ledger.entries set amount = amount + 1 {of}", $"update ledger.entries set amount = amount - 1 {of}", $"transaction {id} at 2");
        await FoundAsync($"update ledger.entries set balance_after = balance_after + 1 {of}", $"update ledger.entries set balance_after = balance_after - 1 {of}", $"transaction {id} at 2");
        await FoundAsync(
            $"update ledger.entries set effective_at = posted_at - interval '1 day' {of}", $"update ledger.entries set effective_at = null {of}", $"transaction {id} at 2");
        await FoundAsync(
            $"update ledger.entries set transaction_id = '{commands[0].Id}' {of}", $"update ledger.entries set transaction_id = '{id}' where transaction_id = '{commands[0].Id}' and amount = 250",
            $"transaction {id} at 2");
        string[] facts =
        [
            "amount = amount + 1", "created_at = created_at + interval '1 microsecond'", "decided_at = decided_at + interval '1 microsecond'",
            "effective_at = decided_at - interval '1 day'", "reference = 'x'", "metadata = '{}'", "details = '{}'", "reverses = owner_id", "hold_id = owner_id",
            "recipient_id = null", "principal_id = recipient_id", "kind = 'journal'",
        ];
        foreach (var fact in facts)
        {
            var column = fact.Split(' ')[0];
            await Books.ExecuteAsync(database, $"create table kept as select * from ledger.transactions where id = '{id}'");
            await FoundAsync(
                $"update ledger.transactions set {fact} where id = '{id}'",
                $"update ledger.transactions t set {column} = k.{column} from kept k where t.id = k.id", $"transaction {id} at 2");
            await Books.ExecuteAsync(database, "drop table kept");
        }
        // With a digest that suits the change, the block's hash is another.
        await FoundAsync(
            $"update ledger.transactions set digest = sha256(digest) where id = '{id}'; create table kept as select 1",
            $"drop table kept; update ledger.transactions set digest = '\\x{Convert.ToHexStringLower(await DigestAsync(connection, id))}' where id = '{id}'",
            "block 1 (1 to 2) has another hash than its transactions");
        const string Swap = """
            update ledger.journal set sequence = -1 where sequence = 1; update ledger.journal set sequence = 1 where sequence = 2;
            update ledger.journal set sequence = 2 where sequence = -1
            """;
        const string Unchecked = "alter table ledger.journal drop constraint journal_sequence_check;";
        await FoundAsync(Unchecked + Swap, Swap, "block 1 (1 to 2) has another hash than its transactions");
        await FoundAsync(
            "update ledger.blocks set previous = sha256(previous) where number = 2",
            "update ledger.blocks set previous = (select p.hash from ledger.blocks p where p.number = 1) where number = 2", "block 2 does not follow block 1");
        await FoundAsync(
            "create table kept as select * from ledger.journal where sequence = 3; delete from ledger.journal where sequence = 3",
            "insert into ledger.journal select * from kept; drop table kept", "block 2 has no transaction at 3");
        await FoundAsync(
            "create table kept as select * from ledger.blocks where number = 1; delete from ledger.blocks where number = 1",
            "insert into ledger.blocks select * from kept; drop table kept", "does not follow block 0", inVerifier: "block 1 is missing");

        async Task FoundAsync(string change, string repair, string finding, string? inVerifier = null)
        {
            const string Owner = "set session_replication_role = replica;";
            await Books.ExecuteAsync(database, $"{Owner} {change}; reset session_replication_role");
            var (exitCode, output, errors) = await RunAsync(connectionString);
            Assert.True(exitCode == 1 && output.Contains(finding, StringComparison.Ordinal), $"{change}: the script ended with {exitCode}.\n{output}{errors}");
            var report = await new JournalVerifier(database).VerifyAsync(0, 100, CancellationToken.None);
            Assert.Contains(report.Results.SelectMany(result => result.Rows), row => row.Contains(inVerifier ?? finding, StringComparison.Ordinal));
            await Books.ExecuteAsync(database, $"{Owner} {repair}; reset session_replication_role");
            Assert.Equal((0, ""), await FindingsAsync(database, connectionString));
        }
    }

    [Fact]
    public async Task A_database_that_cannot_be_read_is_not_taken_for_a_sound_one()
    {
        var (exitCode, output, errors) = await RunAsync(
            new NpgsqlConnectionStringBuilder(await system.ConnectionStringAsync()) { Database = "no_such_database" }.ConnectionString);

        Assert.Equal((2, ""), (exitCode, output));
        Assert.Contains("no_such_database", errors, StringComparison.Ordinal);
    }

    private static string Script => Repository.PathOf("scripts/verify-journal.py");

    // As docs/journal.md says it: the password by the environment, where other users of the machine do not see it.
    private static Task<(int ExitCode, string Output, string Errors)> RunAsync(string connectionString)
    {
        var address = new NpgsqlConnectionStringBuilder(connectionString);
        return Repository.RunAsync(
            "python3", [Script, $"host={address.Host} port={address.Port} user={address.Username} dbname={address.Database}"],
            new Dictionary<string, string> { ["PGPASSWORD"] = address.Password ?? "" });
    }

    private static async Task<(int ExitCode, string Findings)> FindingsAsync(NpgsqlDataSource database, string connectionString)
    {
        var (exitCode, output, errors) = await RunAsync(connectionString);
        var report = await new JournalVerifier(database).VerifyAsync(0, 100, CancellationToken.None);
        return (exitCode, string.Concat(report.Results.SelectMany(result => result.Rows)) + (exitCode == 0 ? "" : output + errors));
    }

    private static async Task SealAsync(NpgsqlConnection connection, long upTo) =>
        await Eventually.TrueAsync(async () => (await Sealer.SealAsync(connection, 100, false, CancellationToken.None)).LastSequence == upTo);

    private static async Task<byte[]> DigestAsync(NpgsqlConnection connection, Guid id) =>
        TransactionDigest.Of((await TransactionReader.LoadAsync(connection, [id], CancellationToken.None)).Single());
}
