using Ledger.Core.Currencies;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Core.Verification;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Verification;

/// <summary>The verifier's rules for journals, exchanges and reversals, each broken on purpose.</summary>
public sealed class OperatorKindTests(OperatorKindTests.SoundBooks sound) : IClassFixture<OperatorKindTests.SoundBooks>
{
    [Theory]
    [InlineData("select 1")]
    [InlineData("update ledger.transactions set amount = amount + 1 where kind = 'journal'", "right-entries")]
    [InlineData("update ledger.transactions set details = '{}' where kind = 'exchange'", "right-entries")]
    [InlineData("update ledger.transactions set owner_id = gen_random_uuid() where kind = 'exchange'", "right-entries")]
    [InlineData("update ledger.transactions set reverses = (select id from ledger.transactions where kind = 'exchange') where kind = 'reversal'", "right-reversal")]
    [InlineData("update ledger.transactions set reverses = gen_random_uuid() where kind = 'reversal'", "right-reversal")]
    [InlineData("update ledger.transactions set reverses = null where kind = 'reversal'", "right-reversal")]
    [InlineData("update ledger.entries set effective_at = null where effective_at is not null", "time-of-effect")]
    [InlineData("update ledger.entries set effective_at = effective_at + interval '1 day' where effective_at is not null", "time-of-effect")]
    public async Task A_broken_rule_is_found(string breach, params string[] broken)
    {
        await using var database = await sound.CopyAsync();
        // Replica: triggers do not fire. What the database itself forbids is allowed for once.
        await Books.ExecuteAsync(database, $"set session_replication_role = replica; {breach}; reset session_replication_role");

        var report = await new Verifier(database).VerifyAsync(TimeSpan.FromHours(1), 10, TestContext.Current.CancellationToken);

        Assert.Equal(broken, report.Results.Where(result => result.Broken > 0).Select(result => result.Check.Name));
    }

    /// <summary>One transaction of each kind that only operators send. Nothing is sealed, so that no digest stands in the way.</summary>
    public sealed class SoundBooks(LedgerSystem system) : IAsyncLifetime
    {
        private string _original = "";

        public async ValueTask InitializeAsync()
        {
            await using var database = await system.FreshLedgerAsync();
            _original = database.ConnectionString;
            var (market, other) = (await Market.OpenAsync(database, users: 2), await Market.OpenAsync(database, users: 0));
            var sender = await market.NewOperatorAsync();
            var (alice, bob) = (new PostingEnd(UserId: market.Users[0]), new PostingEnd(UserId: market.Users[1]));
            var journal = market.Journal(sender, market.Posting(new PostingEnd(), alice, 100), market.Posting(alice, bob, 40));
            journal = journal with { Terms = journal.Terms! with { EffectiveAt = new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc) } };
            await using var connection = await database.OpenConnectionAsync();
            await new PostingEngine().PostAsync(
                connection, [market.Deposit(market.Users[0], 500), journal, market.Exchange(sender, market.Users[0], 50, new Money(7, other.Currency))], CancellationToken.None);
            await new PostingEngine().PostAsync(connection, [market.Reversal(sender, journal)], CancellationToken.None);
        }

        public Task<NpgsqlDataSource> CopyAsync() => VerifierTests.SoundBooks.CopyAsync(system, _original);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
