using Ledger.Tests.Harness;
using Ledger.Worker.Posting;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Ledger.Tests.Posting;

/// <summary>How the worker's one connection reads and writes, in a database of the test's own.</summary>
public sealed class BatchPosterTests(LedgerSystem system)
{
    [Fact]
    public async Task Plans_that_were_made_while_there_were_few_accounts_read_no_more_when_there_are_many()
    {
        const int Few = 300, Users = 3_000, Batches = 50;
        var address = await system.FreshDatabaseAsync();
        var (exitCode, output, errors) = await Tool.RunAsync("ledger", ["migrate"], new Dictionary<string, string?> { ["ConnectionStrings__ledgerdb"] = address });
        Assert.True(exitCode == 0, string.Join('\n', output.Concat(errors)));
        await using var database = NpgsqlDataSource.Create(address);
        await Books.ExecuteAsync(database, "alter table ledger.accounts set (autovacuum_enabled = false)");
        var market = await Market.OpenAsync(database, Users);
        await using (var poster = new BatchPoster(database, NullLogger<BatchPoster>.Instance))
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
    }
}
