using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Posting;

/// <summary>What operators and users do to an account while it is used: the account's lock makes one of the two the first.</summary>
public sealed class AccountRaceTests(LedgerSystem system)
{
    private const int Rounds = 25;

    [Fact]
    public async Task A_limit_that_is_lowered_while_it_is_used_is_lowered_or_used()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 1);
        var (user, sender) = (market.Users[0], await market.NewOperatorAsync());
        await PostAsync(market, market.Deposit(user, 1));
        var account = Guid.Parse((await Books.TextsAsync(market.Database, "select id::text from ledger.accounts where owner_id = $1", user))[0]);

        for (var round = 0; round < Rounds; round++)
        {
            await ActAsync(market, sender, $"select ledger.set_credit_limit('{account}', 100)");
            var withdrawal = Task.Run(() => PostAsync(market, market.Withdrawal(user, 50)));
            var refusal = await ActAsync(market, sender, $"select ledger.set_credit_limit('{account}', 10)");
            var outcome = Assert.Single(await withdrawal).Outcome!;

            Assert.Equal(
                refusal is null ? (TransactionStatus.Rejected, RejectionCodes.InsufficientFunds) : (TransactionStatus.Posted, null),
                (outcome.Status, outcome.Rejection?.Code));
            Assert.Equal(refusal is null ? 1 : -49, await market.BalanceAsync(user));
            Assert.True(refusal is null or "accounts_within_limit", refusal);
            if (refusal is not null)
                await PostAsync(market, market.Deposit(user, 50));
        }
        await Books.MustBalanceAsync(market.Database);
    }

    [Fact]
    public async Task An_account_that_is_closed_while_it_is_paid_is_closed_or_paid()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 2);
        var (payer, owner) = (market.Users[0], market.Users[1]);
        await PostAsync(market, market.Deposit(payer, 100));
        var paid = 0;

        for (var round = 0; round < Rounds; round++)
        {
            var account = await market.NewAccountAsync(owner, $"a{round}");
            var transfer = Task.Run(() => PostAsync(market, market.Transfer(payer, account, 1)));
            var refusal = await ActAsync(market, owner, $"select ledger.close_account('{account}')");
            var outcome = Assert.Single(await transfer).Outcome!;

            Assert.Equal(
                refusal is null ? (TransactionStatus.Rejected, RejectionCodes.AccountClosed) : (TransactionStatus.Posted, null),
                (outcome.Status, outcome.Rejection?.Code));
            Assert.True(refusal is null or "accounts_closed_is_empty", refusal);
            paid += refusal is null ? 0 : 1;
        }

        Assert.Equal((100 - paid, paid), (await market.BalanceAsync(payer), await market.BalanceAsync(owner)));
        await Books.MustBalanceAsync(market.Database);
    }

    // As the API acts for a caller; returns the constraint that refused it.
    private static async Task<string?> ActAsync(Market market, Guid caller, string sql)
    {
        try
        {
            await Books.ExecuteAsync(market.Database, $"select set_config('ledger.caller', '{caller}', true); {sql}");
            return null;
        }
        catch (PostgresException e)
        {
            return e.ConstraintName ?? e.MessageText;
        }
    }

    private static async Task<IReadOnlyList<Decision>> PostAsync(Market market, params Command[] commands)
    {
        await using var connection = await market.Database.OpenConnectionAsync();
        return await new PostingEngine().PostAsync(connection, commands, CancellationToken.None);
    }
}
