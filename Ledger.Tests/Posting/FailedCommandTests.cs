using Ledger.Core.Journal;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Ledger.Worker.Posting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Tests.Posting;

/// <summary>Commands that cannot be posted for a reason that is not their client's, in databases of the tests' own.</summary>
public sealed class FailedCommandTests(LedgerSystem system)
{
    private const long Forbidden = 666;

    [Fact]
    public async Task Command_that_cannot_be_written_is_stored_as_failed_and_posts_nothing_when_its_message_is_moved_back()
    {
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, users: 1);
        await using var poster = Poster(database);
        await RefuseAmountAsync(database);
        var (good, bad) = (market.Deposit(market.Users[0], 100), market.Deposit(market.Users[0], Forbidden, key: "k"));

        var results = await poster.PostAsync(new[] { good, bad, market.Deposit(market.Users[0], 100) }, CancellationToken.None);
        await Books.ExecuteAsync(database, "drop trigger refuse on ledger.entries");
        var movedBack = (await poster.PostAsync(new[] { bad }, CancellationToken.None))[0];
        var sentAgain = (await poster.PostAsync(new[] { market.Deposit(market.Users[0], Forbidden, key: "k") }, CancellationToken.None))[0];

        Assert.Equal(
            [TransactionStatus.Posted, TransactionStatus.Failed, TransactionStatus.Posted], results.Select(result => result.Outcome!.Status));
        Assert.Contains("no such amount", results[1].Failure!, StringComparison.Ordinal);
        Assert.Equal((DecisionKind.Known, TransactionStatus.Failed), (movedBack.Kind, movedBack.Outcome!.Status));
        Assert.Equal((DecisionKind.Replayed, bad.Id, TransactionStatus.Failed), (sentAgain.Kind, sentAgain.TransactionId, sentAgain.Outcome!.Status));
        Assert.Equal(200, await market.BalanceAsync(market.Users[0]));
        Assert.Equal((bad.Id, null), Assert.Single((await FailedCommands.ListAsync(database, 10, [], CancellationToken.None)).Select(failed => (failed.Id, failed.EndsAt))));
    }

    [Theory]
    [InlineData("reference")]
    [InlineData("metadata")]
    [InlineData("key")]
    [InlineData("amount")]
    public async Task Command_whose_text_cannot_be_stored_is_stored_as_failed_without_it(string what)
    {
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, users: 1);
        await using var poster = Poster(database);
        var proper = market.Deposit(market.Users[0], 100);
        var bad = what switch
        {
            "reference" => proper with { Reference = "a\0b" },
            "metadata" => proper with { Metadata = "{", IdempotencyKey = "k" },
            "key" => proper with { IdempotencyKey = "a\0b" },
            _ => proper with { Amount = proper.Amount with { MinorUnits = 0 } },
        };

        Assert.Equal(TransactionStatus.Failed, (await poster.PostAsync(new[] { bad }, CancellationToken.None))[0].Outcome!.Status);
        Assert.Equal(DecisionKind.Known, (await poster.PostAsync(new[] { proper }, CancellationToken.None))[0].Kind);
    }

    [Fact]
    public async Task Failed_pending_command_waits_for_an_operator_whose_retry_posts_it()
    {
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, users: 1);
        await using var poster = Poster(database);
        await RefuseAmountAsync(database);
        var command = market.Deposit(market.Users[0], Forbidden, key: "k");
        await PendingCommands.RecordAsync(database, command, TimeSpan.Zero, CancellationToken.None);

        var failed = (await poster.PostAsync(new[] { command }, CancellationToken.None))[0];
        await Books.ExecuteAsync(database, "drop trigger refuse on ledger.entries");
        // Its message may come again meanwhile; the relay leaves it.
        var movedBack = (await poster.PostAsync(new[] { command }, CancellationToken.None))[0];
        Assert.Empty((await PendingCommands.TakeDueAsync(database, 10, TimeSpan.FromSeconds(1), CancellationToken.None)).Commands);
        Assert.Equal([DecisionKind.Undecided, DecisionKind.Undecided], [failed.Kind, movedBack.Kind]);
        Assert.Equal(0, await market.BalanceAsync(market.Users[0]));
        Assert.True(Assert.Single(await FailedCommands.ListAsync(database, 10, [], CancellationToken.None)).EndsAt > DateTime.UtcNow.AddHours(1));

        Assert.Equal(1, await ExecuteAsync(database, FailedCommands.Retry(command.Id)));
        var due = Assert.Single((await PendingCommands.TakeDueAsync(database, 10, TimeSpan.FromSeconds(1), CancellationToken.None)).Commands);
        Assert.Equal(TransactionStatus.Posted, (await poster.PostAsync(new[] { due.Command }, CancellationToken.None))[0].Outcome!.Status);
        Assert.Equal(Forbidden, await market.BalanceAsync(market.Users[0]));
        Assert.Equal(0, await ExecuteAsync(database, FailedCommands.Retry(command.Id)));
    }

    [Theory]
    [InlineData(24, true)]
    [InlineData(0, false)]
    public async Task Failed_pending_command_ends_as_failed_when_an_operator_drops_it_or_its_time_is_over(double hours, bool isDropped)
    {
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, users: 1);
        await using var poster = Poster(database, new WorkerOptions { FailedHours = hours });
        await RefuseAmountAsync(database);
        var command = market.Deposit(market.Users[0], Forbidden, key: "k");
        await PendingCommands.RecordAsync(database, command, TimeSpan.Zero, CancellationToken.None);
        await poster.PostAsync(new[] { command }, CancellationToken.None);
        await Books.ExecuteAsync(database, "drop trigger refuse on ledger.entries");

        if (isDropped)
        {
            Assert.Equal(0, await FailedCommands.EndAsync(database, 10, _ => Task.CompletedTask, CancellationToken.None));
            Assert.Equal(1, await ExecuteAsync(database, FailedCommands.Drop(command.Id)));
        }
        // A worker that dies before RabbitMQ has the event leaves the announcement to the next one; no operator can post the command then.
        var announced = new List<Transaction>();
        await Assert.ThrowsAsync<InvalidOperationException>(() => FailedCommands.EndAsync(database, 10, _ => throw new InvalidOperationException(), CancellationToken.None));
        Assert.Equal(0, await ExecuteAsync(database, FailedCommands.Retry(command.Id)));
        Assert.Equal([(command.Id, null)], (await FailedCommands.ListAsync(database, 10, [], CancellationToken.None)).Select(failed => (failed.Id, failed.EndsAt)));
        Assert.Equal(1, await FailedCommands.EndAsync(database, 10, ended => Task.Run(() => announced.AddRange(ended)), CancellationToken.None));
        Assert.Equal((command.Id, TransactionStatus.Failed), Assert.Single(announced.Select(failed => (failed.Id, failed.Status))));
        Assert.Equal(0, await FailedCommands.EndAsync(database, 10, _ => throw new InvalidOperationException(), CancellationToken.None));

        var sentAgain = (await poster.PostAsync(new[] { market.Deposit(market.Users[0], Forbidden, key: "k") }, CancellationToken.None))[0];
        Assert.Equal((DecisionKind.Replayed, TransactionStatus.Failed), (sentAgain.Kind, sentAgain.Outcome!.Status));
        Assert.Equal(DecisionKind.Known, (await poster.PostAsync(new[] { command }, CancellationToken.None))[0].Kind);
        Assert.Equal(0, await Books.NumberAsync(database, "select count(*) from ledger.pending_commands"));
        Assert.Equal(0, await market.BalanceAsync(market.Users[0]));
        // What is read back has the digest that was stored.
        await using var connection = await database.OpenConnectionAsync();
        await Eventually.TrueAsync(async () => (await Sealer.SealAsync(connection, 10, false, CancellationToken.None)).LastSequence == 1);
        Assert.All((await new JournalVerifier(database).VerifyAsync(0, 10, CancellationToken.None)).Results, result => Assert.Empty(result.Rows));
    }

    // By the worker's own limit, and by one that an operator has set.
    [Theory]
    [InlineData(0.3, "")]
    [InlineData(600, "-c statement_timeout=300")]
    public async Task Locked_account_delays_only_its_own_command(double lockSeconds, string options)
    {
        const int Users = 11;
        await using var owner = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(owner, Users);
        await using var database = NpgsqlDataSource.Create(
            // Of the system's, for a data source does not tell its password.
            new NpgsqlConnectionStringBuilder(await system.ConnectionStringAsync()) { Database = new NpgsqlConnectionStringBuilder(owner.ConnectionString).Database, Options = options });
        await using var poster = Poster(database, new WorkerOptions { LockSeconds = lockSeconds });
        await poster.PostAsync(market.Users.Select(user => market.Deposit(user, 1)).ToArray(), CancellationToken.None);
        var commands = market.Users.Select(user => market.Deposit(user, 100)).ToArray();

        Decision[] results;
        await using (var other = await owner.OpenConnectionAsync())
        await using (await other.BeginTransactionAsync())
        {
            await using (var hold = new NpgsqlCommand("select from ledger.accounts where owner_id = $1 for update", other) { Parameters = { new() { Value = market.Users[0] } } })
                await hold.ExecuteNonQueryAsync();
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            results = await poster.PostAsync(commands, patience.Token);
        }

        Assert.Equal((DecisionKind.Undecided, null), (results[0].Kind, results[0].Failure));
        Assert.All(results.Skip(1), result => Assert.Equal(TransactionStatus.Posted, result.Outcome!.Status));
        // It is pending, and comes again by the relay.
        await Books.ExecuteAsync(owner, "update ledger.pending_commands set due_at = now()");
        var due = Assert.Single((await PendingCommands.TakeDueAsync(owner, 10, TimeSpan.FromSeconds(1), CancellationToken.None)).Commands);
        Assert.Equal(commands[0], due.Command);
        Assert.Equal(TransactionStatus.Posted, (await poster.PostAsync(new[] { due.Command }, CancellationToken.None))[0].Outcome!.Status);
    }

    [Fact]
    public async Task Relay_skips_commands_that_are_being_decided_and_doubles_its_pause_each_time()
    {
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, users: 1);
        await using var poster = Poster(database, new WorkerOptions { LockSeconds = 60 });
        await poster.PostAsync(new[] { market.Deposit(market.Users[0], 1) }, CancellationToken.None);
        var command = market.Deposit(market.Users[0], 100);
        await PendingCommands.RecordAsync(database, command, TimeSpan.Zero, CancellationToken.None);

        Task<Decision[]> posting;
        await using (var other = await database.OpenConnectionAsync())
        await using (await other.BeginTransactionAsync())
        {
            await using (var hold = new NpgsqlCommand("select from ledger.accounts where kind = 'user' for update", other))
                await hold.ExecuteNonQueryAsync();
            posting = poster.PostAsync(new[] { command }, CancellationToken.None);
            await Eventually.TrueAsync(async () => await Books.NumberAsync(
                database, "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()") > 0);
            Assert.Empty((await PendingCommands.TakeDueAsync(database, 10, TimeSpan.FromSeconds(1), CancellationToken.None)).Commands);
        }
        await posting;

        await PendingCommands.ParkAsync(database, [StoredCommand.Of(market.Deposit(market.Users[0], 100))], TimeSpan.Zero, CancellationToken.None);
        for (var relays = 0; relays < 3; relays++)
        {
            Assert.Single((await PendingCommands.TakeDueAsync(database, 10, TimeSpan.FromSeconds(100), CancellationToken.None)).Commands);
            Assert.Empty((await PendingCommands.TakeDueAsync(database, 10, TimeSpan.FromSeconds(100), CancellationToken.None)).Commands);
            Assert.InRange(await Books.NumberAsync(database, "select extract(epoch from due_at - now())::bigint from ledger.pending_commands"), (100 << relays) - 5, 100 << relays);
            await Books.ExecuteAsync(database, "update ledger.pending_commands set due_at = now()");
        }
    }

    private static BatchPoster Poster(NpgsqlDataSource database, WorkerOptions? options = null) =>
        new(database, Options.Create(options ?? new WorkerOptions()), NullLogger<BatchPoster>.Instance);

    private static Task<int> RefuseAmountAsync(NpgsqlDataSource database) => Books.ExecuteAsync(database, $"""
        create function ledger.refuse_for_test() returns trigger language plpgsql as 'begin raise exception ''no such amount''; end';
        create trigger refuse before insert on ledger.entries for each row when (new.amount = {Forbidden}) execute function ledger.refuse_for_test()
        """);

    private static async Task<int> ExecuteAsync(NpgsqlDataSource database, NpgsqlBatchCommand statement)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(statement);
        return await batch.ExecuteNonQueryAsync();
    }
}
