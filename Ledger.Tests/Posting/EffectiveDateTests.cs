using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Posting;

/// <summary>Times of effect and closed periods. Each test closes the books of a database of its own.</summary>
public sealed class EffectiveDateTests(LedgerSystem system)
{
    private static readonly DateTime January = new(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);
    private static readonly DateTime February = new(2026, 2, 1, 0, 0, 0, DateTimeKind.Utc);

    [Fact]
    public async Task A_transaction_takes_effect_at_its_time_unless_the_books_are_closed_then()
    {
        await using var database = await system.FreshLedgerAsync();
        var (market, sender) = await MarketAsync(database);
        var user = market.Users[0];
        var early = At(January, market.Journal(sender, market.Posting(new PostingEnd(), new PostingEnd(UserId: user), 5)));
        Assert.Equal(early.Terms!.EffectiveAt, Assert.Single(await PostAsync(market, early)).Outcome!.EffectiveAt);

        await CloseAsync(database, sender, February);
        var decisions = await PostAsync(
            market, At(February.AddMicroseconds(-1), Deposit(market, sender, 10)), At(February, Deposit(market, sender, 20)), market.Deposit(user, 40),
            // Later than it is posted: then that is when it takes effect.
            At(DateTime.UtcNow.AddHours(1), Deposit(market, sender, 80)), At(January, market.Reversal(sender, early)));

        Assert.Equal([RejectionCodes.PeriodClosed, null, null, null, RejectionCodes.PeriodClosed], decisions.Select(decision => decision.Outcome!.Rejection?.Code));
        Assert.Equal([February, null, null], decisions.Skip(1).Take(3).Select(decision => decision.Outcome!.EffectiveAt));
        Assert.Equal(145, await market.BalanceAsync(user));
        Assert.Equal(["-5", "5", "-20", "20"], await Books.TextsAsync(database, "select amount::text from ledger.entries where effective_at is not null order by id"));
        await Books.MustBalanceAsync(database);
    }

    [Fact]
    public async Task An_entry_under_way_is_posted_before_its_period_is_closed_or_rejected_after_it()
    {
        await using var database = await system.FreshLedgerAsync();
        var (market, sender) = await MarketAsync(database);
        // The account is opened by one.
        await PostAsync(market, market.Deposit(market.Users[0], 10));
        var posted = 1;

        for (var month = 1; month <= 20; month++)
        {
            var until = January.AddYears(-10).AddMonths(month);
            var entries = Enumerable.Range(0, 3).Select(_ => Task.Run(() => PostAsync(market, At(until.AddMicroseconds(-1), Deposit(market, sender, 10))))).ToList();
            await CloseAsync(database, sender, until);
            var closedAt = await Books.NumberAsync(database, "select (extract(epoch from clock_timestamp()) * 1000000)::bigint");

            foreach (var decision in (await Task.WhenAll(entries)).SelectMany(decisions => decisions))
            {
                var outcome = decision.Outcome!;
                Assert.True(outcome.Status == TransactionStatus.Posted || outcome.Rejection?.Code == RejectionCodes.PeriodClosed, $"{outcome.Rejection}");
                if (outcome.Status != TransactionStatus.Posted)
                    continue;
                posted++;
                Assert.True((outcome.DecidedAt!.Value - DateTime.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond < closedAt, "An entry was posted in a period that was closed before.");
            }
        }

        Assert.Equal(posted * 10, await market.BalanceAsync(market.Users[0]));
        await Books.MustBalanceAsync(database);
    }

    [Fact]
    public async Task Closing_waits_for_an_entry_under_way_and_plain_commands_wait_for_neither()
    {
        await using var database = await system.FreshLedgerAsync();
        var (market, sender) = await MarketAsync(database);
        await using var underWay = await database.OpenConnectionAsync();
        await using var transaction = await underWay.BeginTransactionAsync();
        await using (var share = new NpgsqlCommand("select ledger.lock_closing()", underWay, transaction))
            await share.ExecuteNonQueryAsync();

        var refusal = await Assert.ThrowsAsync<PostgresException>(() => CloseAsync(database, sender, February, "set lock_timeout = 50;"));
        Assert.Equal(PostgresErrorCodes.LockNotAvailable, refusal.SqlState);
        // Others share it.
        Assert.Equal(TransactionStatus.Posted, Assert.Single(await PostAsync(market, At(January, Deposit(market, sender, 10)))).Outcome!.Status);
        await transaction.CommitAsync();
        await CloseAsync(database, sender, February);

        await using var closing = await database.OpenConnectionAsync();
        await using var open = await closing.BeginTransactionAsync();
        await using (var update = new NpgsqlCommand("update ledger.closing set closed_until = closed_until + interval '1 day'", closing, open))
            await update.ExecuteNonQueryAsync();
        Assert.Equal(TransactionStatus.Posted, Assert.Single(await PostAsync(market, market.Deposit(market.Users[0], 10))).Outcome!.Status);
    }

    [Fact]
    public async Task The_database_refuses_an_entry_in_a_closed_period_and_reopens_none()
    {
        await using var database = await system.FreshLedgerAsync();
        var (market, sender) = await MarketAsync(database);
        await CloseAsync(database, sender, February);
        var deposit = market.Deposit(market.Users[0], 1);
        await PostAsync(market, deposit);

        Assert.Equal("transactions_in_open_period", (await RefusedAsync($"""
            insert into ledger.transactions (id, kind, status, principal_id, account_ids, currency, amount, created_at, decided_at, effective_at, digest)
            select gen_random_uuid(), kind, status, principal_id, account_ids, currency, amount, created_at, now(), '2026-01-31T23:59:59Z', digest
            from ledger.transactions where id = '{deposit.Id}'
            """)).ConstraintName);
        Assert.Equal("closing_moves_forward", (await RefusedAsync("update ledger.closing set closed_until = '2026-01-01'")).ConstraintName);
        Assert.Equal("closing_not_in_future", (await RefusedAsync("select ledger.close_books(now() + interval '1 minute')", sender)).ConstraintName);
        Assert.Equal(PostgresErrorCodes.RestrictViolation, (await RefusedAsync("delete from ledger.closing")).SqlState);
        Assert.Equal(PostgresErrorCodes.InsufficientPrivilege, (await RefusedAsync("select ledger.close_books('2026-03-01')", market.Users[0])).SqlState);

        Task<PostgresException> RefusedAsync(string sql, Guid? caller = null) => Assert.ThrowsAsync<PostgresException>(
            () => Books.ExecuteAsync(database, $"select set_config('ledger.caller', '{caller}', true); {sql}"));
    }

    // An operator's deposit for the user.
    private static Command Deposit(Market market, Guid sender, long amount) => market.Deposit(market.Users[0], amount) with { PrincipalId = sender };

    private static Command At(DateTime time, Command command) => command with { Terms = (command.Terms ?? new CommandTerms()) with { EffectiveAt = time } };

    private static async Task CloseAsync(NpgsqlDataSource database, Guid caller, DateTime until, string before = "")
    {
        await using var connection = await database.OpenConnectionAsync();
        await using var close = new NpgsqlCommand($"{before} select set_config('ledger.caller', '{caller}', true); select ledger.close_books('{until:O}')", connection);
        await close.ExecuteNonQueryAsync();
    }

    private static async Task<(Market Market, Guid Operator)> MarketAsync(NpgsqlDataSource database)
    {
        var market = await Market.OpenAsync(database, users: 1);
        return (market, await market.NewOperatorAsync());
    }

    private static async Task<IReadOnlyList<Decision>> PostAsync(Market market, params Command[] commands)
    {
        await using var connection = await market.Database.OpenConnectionAsync();
        return await new PostingEngine().PostAsync(connection, commands, CancellationToken.None);
    }
}
