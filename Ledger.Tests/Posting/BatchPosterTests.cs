using Ledger.Core.Posting;
using Ledger.Tests.Harness;
using Ledger.Worker.Posting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Tests.Posting;

/// <summary>How the worker's one connection reads and writes, in a database of the test's own.</summary>
public sealed class BatchPosterTests(LedgerSystem system)
{
    [Fact]
    public async Task Plans_made_for_small_tables_use_indexes_on_large_ones()
    {
        const int Few = 300, Users = 3_000, Batches = 50;
        await using var database = await system.FreshLedgerAsync();
        await Books.ExecuteAsync(database, "alter table ledger.accounts set (autovacuum_enabled = false); alter table ledger.transactions set (autovacuum_enabled = false)");
        var market = await Market.OpenAsync(database, Users);
        await using (var poster = new BatchPoster(database, Options.Create(new WorkerOptions()), NullLogger<BatchPoster>.Instance))
        {
            // The planner learns how few accounts there are, is asked for many of them, and hears no more of it.
            await poster.PostAsync(market.Users.Take(Few).Select(user => market.Deposit(user, 100)).ToArray(), CancellationToken.None);
            await Books.ExecuteAsync(database, "analyze ledger.accounts");
            await poster.PostAsync(market.Users.Take(Few).Select(user => market.Deposit(user, 100)).ToArray(), CancellationToken.None);
            await poster.PostAsync(market.Users.Skip(Few).Select(user => market.Deposit(user, 100)).ToArray(), CancellationToken.None);
            for (var i = 0; i < Batches; i++)
                await poster.PostAsync(new[] { market.Transfer(market.Users[i], market.Users[i + 1], 1) }, CancellationToken.None);
        }

        // The server counts when the connection is closed.
        long read = 0;
        await Eventually.TrueAsync(async () =>
        {
            read = await Books.NumberAsync(database, "select (seq_tup_read + idx_tup_fetch)::bigint from pg_stat_user_tables where relid = 'ledger.accounts'::regclass");
            return await Books.NumberAsync(database, "select n_tup_upd::bigint from pg_stat_user_tables where relid = 'ledger.accounts'::regclass") >= Few + Users + (Batches * 2);
        }, TimeSpan.FromSeconds(30), () => "The server counted no updates.");

        // Reading all of them in each batch would make 150,000.
        Assert.InRange(read, Users, 10 * Users);
        // Each is looked up once for each of its entries. Reading all of them for each entry would make millions.
        Assert.InRange(
            await Books.NumberAsync(database, "select (seq_tup_read + idx_tup_fetch)::bigint from pg_stat_user_tables where relid = 'ledger.transactions'::regclass"),
            Users, 10 * Users);
    }

    [Fact]
    public async Task Cancelled_attempts_to_post_a_command_alone_do_not_count()
    {
        const int MaxAttempts = 2;
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, users: 1);
        var command = market.Deposit(market.Users[0], 100);
        // One whose worker was killed does.
        await Books.ExecuteAsync(database, "insert into ledger.attempts (command_id) values ($1)", command.Id);
        await using var poster = new BatchPoster(database, Options.Create(new WorkerOptions()), NullLogger<BatchPoster>.Instance);
        await using (var gate = await database.OpenConnectionAsync())
        await using (await gate.BeginTransactionAsync())
        {
            await using (var close = new NpgsqlCommand("lock table ledger.transactions", gate))
                await close.ExecuteNonQueryAsync();
            for (var i = 0; i <= MaxAttempts; i++)
            {
                using var stop = new CancellationTokenSource();
                var posting = poster.PostAloneAsync(command, MaxAttempts, stop.Token);
                await Eventually.TrueAsync(async () => await Books.NumberAsync(
                    database, "select count(*) from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())") > 0);
                await stop.CancelAsync();
                await Assert.ThrowsAnyAsync<OperationCanceledException>(() => posting);
                Assert.Equal(1, await Books.NumberAsync(database, "select begun::bigint from ledger.attempts where command_id = $1", command.Id));
            }
        }

        var result = await poster.PostAloneAsync(command, MaxAttempts, CancellationToken.None);

        Assert.Equal((DecisionKind.Decided, null), (result.Kind, result.Failure));
        Assert.Equal(0, await Books.NumberAsync(database, "select count(*) from ledger.attempts"));
    }

    [Fact]
    public async Task Dead_letter_is_not_tried_within_an_hour_and_starts_with_no_attempts_after_it()
    {
        const int MaxAttempts = 2;
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, users: 1);
        var (old, recent, forgotten) = (market.Deposit(market.Users[0], 100), market.Deposit(market.Users[0], 100), market.Deposit(market.Users[0], 100));
        foreach (var (command, minutes) in new[] { (old, 70), (recent, 30), (forgotten, 70) })
        {
            await Books.ExecuteAsync(
                database, "insert into ledger.attempts (command_id, begun, last_at) values ($1, $2, clock_timestamp() - make_interval(mins => $3))", command.Id, MaxAttempts, minutes);
        }
        await using var poster = new BatchPoster(database, Options.Create(new WorkerOptions()), NullLogger<BatchPoster>.Instance);

        // It comes again where its worker died before it acknowledged the message.
        for (var i = 0; i < 2; i++)
            Assert.Equal("The worker did not survive 2 attempts to post this command alone.", (await poster.PostAloneAsync(recent, MaxAttempts, CancellationToken.None)).Failure);
        Assert.Equal(DecisionKind.Decided, (await poster.PostAloneAsync(old, MaxAttempts, CancellationToken.None)).Kind);

        Assert.Equal(1, await market.CountAsync("posted"));
        Assert.Equal([recent.Id.ToString()], await Books.TextsAsync(database, "select command_id::text from ledger.attempts"));
    }
}
