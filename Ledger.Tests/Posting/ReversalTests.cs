using Ledger.Core.Currencies;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Posting;

/// <summary>Exchanges and reversals in the engine.</summary>
public sealed class ReversalTests(LedgerSystem system)
{
    [Fact]
    public async Task An_exchange_moves_both_currencies_over_the_exchange_accounts_and_keeps_its_rate()
    {
        var (market, sender) = await MarketAsync(users: 1);
        var other = await Market.OpenAsync(market.Database, users: 0);
        var user = market.Users[0];
        await PostAsync(market, market.Deposit(user, 1000));

        var decisions = await PostAsync(market, market.Exchange(sender, user, 600, new Money(540, other.Currency)), market.Exchange(sender, user, 401, new Money(1, other.Currency)));

        Assert.Equal([(market.Currency, -600L), (market.Currency, 600L), (other.Currency, -540L), (other.Currency, 540L)],
            decisions[0].Outcome!.Entries.Select(entry => (entry.Amount.Currency, entry.Amount.MinorUnits)));
        Assert.Equal(new TransactionDetails { Buy = new Money(540, other.Currency), Rate = "1" }, TransactionDetails.Parse(decisions[0].Outcome!.Details!));
        Assert.Equal(new Rejection(RejectionCodes.InsufficientFunds, 400, null, new Money(401, market.Currency)), decisions[1].Outcome!.Rejection);
        Assert.Equal((400, 540, 600, -540), (await market.BalanceAsync(user), await other.BalanceAsync(user), await PositionAsync(market), await PositionAsync(other)));
        await Books.MustBalanceAsync(market.Database);
    }

    [Fact]
    public async Task A_reversal_takes_back_each_kind_of_transaction()
    {
        var (market, sender) = await MarketAsync(users: 2);
        var other = await Market.OpenAsync(market.Database, users: 0);
        var (alice, bob) = (market.Users[0], market.Users[1]);
        var fees = await market.NewHouseAccountAsync();
        Command[] commands =
        [
            market.Deposit(alice, 1000), market.Transfer(alice, bob, 300), market.Withdrawal(bob, 100),
            market.Journal(sender, market.Posting(new(UserId: alice), new(House: fees), 50), market.Posting(new(House: fees), new(UserId: bob), 45)),
            market.Exchange(sender, alice, 200, new Money(7, other.Currency)),
        ];
        await PostAsync(market, commands);

        // The last one first, in one batch and in several.
        var reversals = commands.Reverse().Select(command => market.Reversal(sender, command)).ToArray();
        var decisions = (await PostAsync(market, reversals[..3])).Concat(await PostAsync(market, reversals[3..])).ToList();

        Assert.All(decisions, decision => Assert.Equal(TransactionStatus.Posted, decision.Outcome!.Status));
        Assert.Equal(commands.Reverse().Select(command => (Guid?)command.Id), decisions.Select(decision => decision.Outcome!.Reverses));
        Assert.Equal((0, 0, 0, 0, 0, 0), (
            await market.BalanceAsync(alice), await market.BalanceAsync(bob), await market.HouseBalanceAsync(fees), await other.BalanceAsync(alice),
            await PositionAsync(market), await PositionAsync(other)));
        Assert.Equal(0, await market.SettlementAsync());
        await Books.MustBalanceAsync(market.Database);
    }

    [Fact]
    public async Task A_transaction_is_reversed_once_and_a_reversal_never()
    {
        var (market, sender) = await MarketAsync(users: 1);
        var (deposit, rejected) = (market.Deposit(market.Users[0], 100), market.Withdrawal(market.Users[0], 1000));
        await PostAsync(market, deposit, rejected);
        var (first, second, third) = (market.Reversal(sender, deposit), market.Reversal(sender, deposit), market.Reversal(sender, deposit));

        var together = await PostAsync(market, first, second);
        var later = await PostAsync(market, third, market.Reversal(sender, first), market.Reversal(sender, rejected), market.Reversal(sender, market.Deposit(market.Users[0], 1)));

        Assert.Equal([null, RejectionCodes.AlreadyReversed], together.Select(decision => decision.Outcome!.Rejection?.Code));
        Assert.Equal(
            [RejectionCodes.AlreadyReversed, RejectionCodes.NotReversible, RejectionCodes.NotReversible, RejectionCodes.NotReversible],
            later.Select(decision => decision.Outcome!.Rejection?.Code));
        Assert.Equal(0, await market.BalanceAsync(market.Users[0]));
        var reversed = Assert.Single(await PostAsync(market, deposit)).Outcome!;
        Assert.Equal(first.Id, reversed.ReversedBy);
    }

    [Fact]
    public async Task A_reversal_that_an_account_cannot_pay_is_rejected_and_may_be_sent_again()
    {
        var (market, sender) = await MarketAsync(users: 1);
        var user = market.Users[0];
        var deposit = market.Deposit(user, 100);
        await PostAsync(market, deposit, market.Withdrawal(user, 60));

        var poor = Assert.Single(await PostAsync(market, market.Reversal(sender, deposit))).Outcome!;
        await PostAsync(market, market.Deposit(user, 60));
        var rich = Assert.Single(await PostAsync(market, market.Reversal(sender, deposit))).Outcome!;

        Assert.Equal(new Rejection(RejectionCodes.InsufficientFunds, 40, null, new Money(100, market.Currency)), poor.Rejection);
        Assert.Equal((TransactionStatus.Posted, 0), (rich.Status, await market.BalanceAsync(user)));
    }

    [Fact]
    public async Task Of_reversals_of_one_transaction_by_several_engines_one_is_posted()
    {
        var (market, sender) = await MarketAsync(users: 1);
        var user = market.Users[0];
        for (var round = 0; round < 10; round++)
        {
            var deposit = market.Deposit(user, 100);
            // Enough for all, so that only the rule keeps the others out.
            await PostAsync(market, deposit, market.Deposit(user, 1000));

            var decisions = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(async () => Assert.Single(await PostAsync(market, market.Reversal(sender, deposit))))));

            Assert.Equal([null, .. Enumerable.Repeat(RejectionCodes.AlreadyReversed, 3)], decisions.Select(decision => decision.Outcome!.Rejection?.Code).Order());
            Assert.Equal(1000 * (round + 1), await market.BalanceAsync(user));
        }
        await Books.MustBalanceAsync(market.Database);
    }

    [Fact]
    public async Task The_database_refuses_a_second_reversal()
    {
        var (market, sender) = await MarketAsync(users: 1);
        var deposit = market.Deposit(market.Users[0], 100);
        var reversal = market.Reversal(sender, deposit);
        await PostAsync(market, deposit);
        await PostAsync(market, reversal);

        var refusal = await Assert.ThrowsAsync<PostgresException>(() => Books.ExecuteAsync(market.Database, """
            insert into ledger.transactions (id, kind, status, principal_id, account_ids, currency, amount, created_at, decided_at, reverses, digest)
            select gen_random_uuid(), kind, status, principal_id, account_ids, currency, amount, created_at, now(), reverses, digest from ledger.transactions where id = $1
            """, reversal.Id));

        Assert.Equal((PostgresErrorCodes.UniqueViolation, "transactions_reversed_once"), (refusal.SqlState, refusal.ConstraintName));
    }

    private static Task<long> PositionAsync(Market market) => Books.NumberAsync(
        market.Database, "select sum(posted)::bigint from ledger.accounts where kind = 'exchange' and currency = $1", market.Currency);

    private async Task<(Market Market, Guid Operator)> MarketAsync(int users)
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users);
        return (market, await market.NewOperatorAsync());
    }

    private static async Task<IReadOnlyList<Decision>> PostAsync(Market market, params Command[] commands)
    {
        await using var connection = await market.Database.OpenConnectionAsync();
        return await new PostingEngine().PostAsync(connection, commands, CancellationToken.None);
    }
}
