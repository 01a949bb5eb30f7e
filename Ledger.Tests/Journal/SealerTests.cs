using System.Collections.Concurrent;
using System.Diagnostics;
using Ledger.Core.Journal;
using Ledger.Core.Persistence;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Ledger.Worker.Journal;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Tests.Journal;

/// <summary>The journal's order, made by the real sealer, in databases of the tests' own.</summary>
public sealed class SealerTests(LedgerSystem system)
{
    private const int BlockLength = 1_000;

    [Fact]
    public async Task Journal_has_each_transaction_once_in_the_order_of_accounts_and_of_real_time_under_concurrent_writers()
    {
        const int Writers = 10, Accounts = 12;
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, Accounts);
        await PostAsync(database, [.. market.Users.Select(user => market.Deposit(user, 1_000_000))]);
        var calls = new ConcurrentDictionary<Guid, (long Begun, long Ended)>();
        using var writing = new CancellationTokenSource(TimeSpan.FromSeconds(8));
        using var done = new CancellationTokenSource();
        var sealing = SealAsync(database, done.Token);

        await Task.WhenAll([
            .. Enumerable.Range(0, Writers).Select(writer => Task.Run(() => WriteAsync(market, writer, calls, writing.Token))),
            .. Enumerable.Range(0, 2).Select(_ => Task.Run(() => LockAccountsAsync(market, writing.Token))),
            .. Enumerable.Range(0, 2).Select(_ => Task.Run(() => StayOpenAsync(market, writing.Token)))]);
        await Eventually.TrueAsync(async () => await Books.NumberAsync(
            database, "select (select count(*) from ledger.transactions) - (select count(*) from ledger.journal)") == 0);
        await done.CancelAsync();
        await sealing;

        Assert.True(calls.Count > 200, $"Only {calls.Count} transactions were written.");
        Assert.Equal(0, await Books.NumberAsync(database, "select count(*) - max(sequence) from ledger.journal"));
        Assert.Empty(await Books.TextsAsync(database, """
            select account_id::text from (
                select e.account_id, j.sequence < lag(j.sequence) over (partition by e.account_id order by e.posted_at, e.id) as is_out_of_order
                from ledger.entries e join ledger.journal j on j.transaction_id = e.transaction_id
                join ledger.accounts a on a.id = e.account_id and a.kind = 'user') o
            where is_out_of_order
            """));
        // What had been answered before another began stands before it.
        var latestBegin = long.MinValue;
        foreach (var id in await Books.TextsAsync(database, "select transaction_id::text from ledger.journal order by sequence"))
        {
            if (!calls.TryGetValue(Guid.Parse(id), out var call))
                continue;
            Assert.True(call.Ended >= latestBegin, $"Transaction {id} had ended before one that stands before it began.");
            latestBegin = Math.Max(latestBegin, call.Begun);
        }
        var journal = await new JournalVerifier(database).VerifyAsync(0, 10, CancellationToken.None);
        Assert.All(journal.Results, result => Assert.Equal([], result.Rows));
        // No block holds what was decided up to the horizon of the block before it.
        Assert.Empty(await Books.TextsAsync(database, """
            select b.number::text from ledger.blocks b join ledger.blocks p on p.number = b.number - 1
            join ledger.journal j on j.sequence between b.first_sequence and b.last_sequence
            join ledger.transactions t on t.id = j.transaction_id where t.decided_at <= p.horizon
            """));
    }

    // Plans without sequential scans look expensive, and PostgreSQL would compile each of them anew, for longer than they run.
    [Fact]
    public async Task Functions_that_disable_sequential_scans_disable_compilation_too() => Assert.Equal(
        (1, 0),
        (await Books.NumberAsync(await system.DatabaseAsync(), "select count(*) from pg_proc where 'enable_seqscan=off' = any (proconfig)"),
        await Books.NumberAsync(await system.DatabaseAsync(), "select count(*) from pg_proc where 'enable_seqscan=off' = any (proconfig) and not 'jit=off' = any (proconfig)")));

    [Fact]
    public async Task One_session_seals_at_a_time_and_another_takes_over_when_it_ends()
    {
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, 1);
        await PostAsync(database, [market.Deposit(market.Users[0], 100)]);
        await using var second = await database.OpenConnectionAsync();
        await using (var first = await database.OpenConnectionAsync())
        {
            Assert.NotNull(await AdvisoryLock.TryTakeAsync(first, Sealer.Lock, CancellationToken.None));
            Assert.Null(await AdvisoryLock.TryTakeAsync(second, Sealer.Lock, CancellationToken.None));
            Assert.Null((await Sealer.SealAsync(second, BlockLength, false, CancellationToken.None)).LastSequence);
            await Eventually.TrueAsync(async () => (await Sealer.SealAsync(first, BlockLength, false, CancellationToken.None)).LastSequence == 1);
        }
        await PostAsync(database, [market.Deposit(market.Users[0], 100)]);

        await Eventually.TrueAsync(async () => await AdvisoryLock.TryTakeAsync(second, Sealer.Lock, CancellationToken.None) is not null);
        await Eventually.TrueAsync(async () => (await Sealer.SealAsync(second, BlockLength, false, CancellationToken.None)).LastSequence == 2);
    }

    [Fact]
    public async Task Service_tries_to_take_the_lock_within_two_seconds_and_releases_it_when_it_stops()
    {
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, 1);
        await PostAsync(database, [market.Deposit(market.Users[0], 100)]);
        var clock = new WatchedClock();
        using var service = new SealingService(database, clock, Options.Create(new JournalOptions()), NullLogger<SealingService>.Instance);
        await using var other = await database.OpenConnectionAsync();

        await using (await AdvisoryLock.TryTakeAsync(other, Sealer.Lock, CancellationToken.None))
        {
            await service.StartAsync(CancellationToken.None);
            Assert.InRange(await clock.WaitAsync(CancellationToken.None), TimeSpan.FromMilliseconds(1), TimeSpan.FromSeconds(2));
            Assert.Equal(0, await SealedAsync());
        }
        await Eventually.TrueAsync(async () =>
        {
            clock.Advance(TimeSpan.FromSeconds(2));
            return await SealedAsync() == 1;
        });
        Assert.Null(await AdvisoryLock.TryTakeAsync(other, Sealer.Lock, CancellationToken.None));

        await service.StopAsync(CancellationToken.None);
        Assert.NotNull(await AdvisoryLock.TryTakeAsync(other, Sealer.Lock, CancellationToken.None));

        Task<long> SealedAsync() => Books.NumberAsync(database, "select count(*) from ledger.journal");
    }

    [Fact]
    public async Task Transactions_of_a_restored_dump_with_ids_of_another_cluster_are_sealed()
    {
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, 1);
        await PostAsync(database, [market.Deposit(market.Users[0], 100), market.Deposit(market.Users[0], 200)]);
        await Books.ExecuteAsync(database, """
            set session_replication_role = replica;
            update ledger.transactions set xact = (xact::text::numeric + 1000000000000)::text::xid8;
            reset session_replication_role
            """);
        await using var connection = await database.OpenConnectionAsync();

        Assert.Equal(0, (await Sealer.SealAsync(connection, 1, afterRestart: false, CancellationToken.None)).Count);
        await Eventually.TrueAsync(async () => (await Sealer.SealAsync(connection, 1, afterRestart: true, CancellationToken.None)).LastSequence == 2);
        await PostAsync(database, [market.Deposit(market.Users[0], 300)]);
        await Eventually.TrueAsync(async () => (await Sealer.SealAsync(connection, 1, afterRestart: false, CancellationToken.None)).LastSequence == 3);
    }

    private static async Task WriteAsync(Market market, int writer, ConcurrentDictionary<Guid, (long, long)> calls, CancellationToken cancellationToken)
    {
        var random = new Random(writer);
        await using var connection = await market.Database.OpenConnectionAsync(CancellationToken.None);
        var engine = new PostingEngine();
        while (!cancellationToken.IsCancellationRequested)
        {
            var batch = Enumerable.Range(0, random.Next(1, 4)).Select(_ =>
            {
                var from = random.Next(market.Users.Count);
                return market.Transfer(market.Users[from], market.Users[(from + random.Next(1, market.Users.Count)) % market.Users.Count], random.Next(1, 5));
            }).ToArray();
            var begun = Stopwatch.GetTimestamp();
            await engine.PostAsync(connection, batch, CancellationToken.None);
            var ended = Stopwatch.GetTimestamp();
            foreach (var command in batch)
                calls[command.Id] = (begun, ended);
        }
    }

    // A batch that needs the account has its transaction id, and waits; others, with later ids, commit before it.
    private static async Task LockAccountsAsync(Market market, CancellationToken cancellationToken)
    {
        var random = new Random();
        while (!cancellationToken.IsCancellationRequested)
        {
            await using var connection = await market.Database.OpenConnectionAsync(CancellationToken.None);
            await using var transaction = await connection.BeginTransactionAsync(CancellationToken.None);
            await using (var hold = new NpgsqlCommand("select from ledger.accounts where owner_id = $1 for update", connection) { Parameters = { new() { Value = market.Users[random.Next(market.Users.Count)] } } })
                await hold.ExecuteNonQueryAsync(CancellationToken.None);
            await Task.Delay(random.Next(5, 60), CancellationToken.None);
        }
    }

    // A write transaction that has nothing to do with the ledger.
    private static async Task StayOpenAsync(Market market, CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            await using var connection = await market.Database.OpenConnectionAsync(CancellationToken.None);
            await using var transaction = await connection.BeginTransactionAsync(CancellationToken.None);
            await using (var write = new NpgsqlCommand("select pg_current_xact_id()", connection))
                await write.ExecuteNonQueryAsync(CancellationToken.None);
            await Task.Delay(Random.Shared.Next(10, 300), CancellationToken.None);
        }
    }

    private static async Task SealAsync(NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(CancellationToken.None);
        while (!cancellationToken.IsCancellationRequested)
        {
            await Sealer.SealAsync(connection, BlockLength, false, CancellationToken.None);
            await Task.Delay(10, CancellationToken.None);
        }
    }

    private static async Task PostAsync(NpgsqlDataSource database, Command[] commands)
    {
        await using var connection = await database.OpenConnectionAsync();
        await new PostingEngine().PostAsync(connection, commands, CancellationToken.None);
    }
}
