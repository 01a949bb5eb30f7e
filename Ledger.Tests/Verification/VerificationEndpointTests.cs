using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Verification;

/// <summary>The result of the last verification, as operators and auditors read it.</summary>
public sealed class VerificationEndpointTests(LedgerSystem system)
{
    [Fact]
    public async Task Auditor_reads_the_last_verification()
    {
        var auditor = await system.NewStaffAsync(Roles.Auditor);
        var (at, accounts) = (DateTime.UtcNow, Random.Shared.NextInt64(1_000_000, long.MaxValue));
        at = at.AddTicks(-(at.Ticks % TimeSpan.TicksPerSecond));
        Answer? last = null;
        // A run of the worker may come in between.
        await Eventually.TrueAsync(async () =>
        {
            await Books.ExecuteAsync(await system.DatabaseAsync(), """
                insert into ledger.verifications (at, took, accounts, transactions, entries, money_failures, liveness_failures, report)
                values ($1, '1500 milliseconds', $2, 2, 4, 0, 3, '{}')
                """, at, accounts);
            last = (await auditor.GetAsync("admin/verification")).MustBe(200);
            return last.Json.GetProperty("accounts").GetInt64() == accounts;
        });

        Assert.Equal(
            $$$"""{"at":"{{{at:yyyy-MM-ddTHH:mm:ss}}}Z","seconds":1.5,"accounts":{{{accounts}}},"transactions":2,"entries":4,"moneyFailures":0,"livenessFailures":3,"report":{}}""", last!.Text);
        (await (await system.NewUserAsync()).GetAsync("admin/verification")).MustBe(403, "forbidden");
    }
}
