using Ledger.Core.Journal;
using Ledger.Tests.Harness;
using Ledger.Tests.Monitoring;

namespace Ledger.Tests.Faults;

/// <summary>kill -9 of the worker that seals the journal.</summary>
[Collection(nameof(Faults))]
public sealed class SealerTests(FaultSystem system)
{
    private const int Enough = 150;

    // Two seconds, and a margin for a machine that is busy with the load itself.
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(2 + 3);

    [Fact]
    public async Task A_sealer_that_is_killed_is_followed_by_another_worker_without_a_gap_or_a_double()
    {
        await system.RecoveredAsync();
        await using var load = await Load.StartAsync(system);
        for (var round = 0; round < 3; round++)
        {
            await load.AnsweredAsync(Enough);
            var sealer = await SealerAsync();
            var (holder, killed) = (await HolderAsync(), await Books.NumberAsync(system.Database, "select (extract(epoch from clock_timestamp()) * 1000000)::bigint"));
            var killing = sealer.KillAsync(restart: false);

            await Eventually.TrueAsync(async () => await HolderAsync() is > 0 and var now && now != holder && await SealedSinceAsync(killed) > 0, s_deadline, () => "No other worker seals.");

            // By the database's clock: from the kill to the first block of the other worker.
            var pause = await Books.NumberAsync(system.Database, """
                select max(gap)::bigint from (
                    select extract(epoch from sealed_at - lag(sealed_at) over (order by number)) * 1000 as gap, sealed_at from ledger.blocks) b
                where extract(epoch from sealed_at) * 1000000 >= $1 - 1000000
                """, killed);
            TestContext.Current.SendDiagnosticMessage($"After kill -9 of {sealer.Name}, no block for {pause} ms");
            Assert.InRange(pause, 0, (long)s_deadline.TotalMilliseconds);
            await killing;
            await system.RecoveredAsync();
        }
        await load.AnsweredAsync(Enough);
        await load.MustHaveBeenKeptAsync(system.Database);

        await Eventually.TrueAsync(async () => await Books.NumberAsync(
            system.Database, "select count(*) from ledger.transactions t where not exists (select from ledger.journal j where j.transaction_id = t.id)") == 0);
        Assert.Equal(0, await Books.NumberAsync(system.Database, "select count(*) - coalesce(max(sequence), 0) from ledger.journal"));
        Assert.Equal(0, await Books.NumberAsync(system.Database, "select count(*) - count(distinct transaction_id) from ledger.journal"));
        Assert.All((await new JournalVerifier(system.Database).VerifyAsync(0, 10, CancellationToken.None)).Results, result => Assert.Equal([], result.Rows));
    }

    // Only the worker that seals reports the lag.
    private async Task<LedgerProcess> SealerAsync()
    {
        LedgerProcess? sealer = null;
        await Eventually.TrueAsync(async () =>
        {
            foreach (var worker in system.Processes.Workers)
            {
                if ((await Scrape.OfAsync(worker.Metrics!))["ledger_journal_lag_seconds"] is not null)
                    sealer = worker;
            }
            return sealer is not null;
        }, FaultSystem.Recovery, () => "No worker seals.");
        return sealer!;
    }

    private Task<long> HolderAsync() => Books.NumberAsync(system.Database, $"""
        select coalesce(max(pid), 0) from pg_locks
        where locktype = 'advisory' and granted and objid = {Sealer.Lock} and virtualtransaction is not null
            and database = (select oid from pg_database where datname = current_database())
            and pid in (select pid from pg_stat_activity where application_name = 'Ledger.Worker')
        """);

    private Task<long> SealedSinceAsync(long microseconds) => Books.NumberAsync(
        system.Database, "select count(*) from ledger.blocks where extract(epoch from sealed_at) * 1000000 > $1", microseconds);
}
