using FsCheck;
using FsCheck.Fluent;
using Ledger.Core.Currencies;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Posting;

/// <summary>The rules of a single movement, without a database.</summary>
public sealed class JudgeTests
{
    private const int Settlement = 0;
    private const int Users = 4;
    private const int FrozenUser = Users;

    [Fact]
    public void A_movement_takes_from_one_what_it_gives_to_the_other()
    {
        var (from, to) = (Account(posted: 100), Account(posted: 5));

        Assert.Null(Judge.Move(ref from, ref to, 100));

        Assert.Equal((0, true), (from.Posted, from.Touched));
        Assert.Equal((105, true), (to.Posted, to.Touched));
    }

    [Fact]
    public void What_is_held_is_not_available()
    {
        var (from, to) = (Account(posted: 100, held: 40), Account());

        Assert.Equal(new Rejection(RejectionCodes.InsufficientFunds, 60), Judge.Move(ref from, ref to, 61));
        Assert.Null(Judge.Move(ref from, ref to, 60));
    }

    [Fact]
    public void Nothing_moves_to_or_from_a_frozen_account()
    {
        var (frozen, open) = (Account(posted: 100) with { Frozen = true }, Account(posted: 100));

        Assert.Equal(new Rejection(RejectionCodes.AccountFrozen), Judge.Move(ref frozen, ref open, 1));
        Assert.Equal(new Rejection(RejectionCodes.AccountFrozen), Judge.Move(ref open, ref frozen, 1));
        Assert.False(frozen.Touched || open.Touched);
    }

    [Fact]
    public void No_balance_goes_beyond_its_limit_in_either_direction()
    {
        var (settlement, user) = (Account() with { AllowNegative = true }, Account(posted: Judge.BalanceLimit - 5));
        Assert.Equal(new Rejection(RejectionCodes.BalanceOverflow), Judge.Move(ref settlement, ref user, 6));
        Assert.Null(Judge.Move(ref settlement, ref user, 5));

        var (drained, other) = (Account(posted: -Judge.BalanceLimit + 5) with { AllowNegative = true }, Account());
        Assert.Equal(new Rejection(RejectionCodes.BalanceOverflow), Judge.Move(ref drained, ref other, 6));
        Assert.Null(Judge.Move(ref drained, ref other, 5));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(long.MinValue)]
    [InlineData(Currency.MaxAmount + 1)]
    [InlineData(long.MaxValue)]
    public void An_amount_that_no_command_may_have_is_not_judged(long amount)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() =>
        {
            var (from, to) = (Account(posted: 100), Account());
            Judge.Move(ref from, ref to, amount);
        });
    }

    [Fact]
    public void Any_sequence_of_movements_ends_as_naive_accounting_does() => Law.HoldsForSequences(Movements, movements =>
    {
        var accounts = Accounts();
        var naive = new Int128[accounts.Length];
        foreach (var (from, to, amount) in movements)
        {
            var (before, after) = (accounts[from], accounts[to]);
            var rejection = Judge.Move(ref accounts[from], ref accounts[to], amount);

            Assert.Equal(Expected(naive, from, to, amount), rejection?.Code);
            if (rejection is null)
                (naive[from], naive[to]) = (naive[from] - amount, naive[to] + amount);
            else
                Assert.Equal((before, after), (accounts[from], accounts[to]));
        }

        Assert.Equal(naive, accounts.Select(account => (Int128)account.Posted));
        Assert.Equal(0, accounts.Aggregate((Int128)0, (sum, account) => sum + account.Posted));
        Assert.All(accounts, account => Assert.True(account.AllowNegative || account.Available >= 0));
    });

    [Fact]
    public void Any_order_of_independent_movements_gives_the_same_balances() => Law.HoldsForSequences(
        from movement in Movements from turn in Gen.Choose(0, int.MaxValue) select (movement, turn),
        sequence =>
        {
            // Money in and out of each user, amounts far from the limits: whatever one user does is nothing to the others.
            var independent = sequence
                .Where(item => (item.movement.From == Settlement) != (item.movement.To == Settlement))
                .Select((item, place) => (item.movement.From, item.movement.To, Amount: item.movement.Amount % 1000 + 1, item.turn, place))
                .ToArray();

            // Another interleaving, in which each user's own order stays.
            var turns = independent.GroupBy(item => item.From + item.To).ToDictionary(user => user.Key, user => new Queue<int>(user.Select(item => item.turn).Order()));
            var other = independent.Select(item => (item, turn: turns[item.From + item.To].Dequeue())).OrderBy(item => item.turn).ThenBy(item => item.item.place).Select(item => item.item);

            Assert.Equal(BalancesAfter(independent.Select(item => (item.From, item.To, item.Amount))), BalancesAfter(other.Select(item => (item.From, item.To, item.Amount))));
        });

    private static IEnumerable<long> BalancesAfter(IEnumerable<(int From, int To, long Amount)> movements)
    {
        var accounts = Accounts();
        foreach (var (from, to, amount) in movements)
            Judge.Move(ref accounts[from], ref accounts[to], amount);
        return accounts.Select(account => account.Posted);
    }

    private static string? Expected(Int128[] balances, int from, int to, long amount) =>
        from == FrozenUser || to == FrozenUser ? RejectionCodes.AccountFrozen
        : from != Settlement && balances[from] < amount ? RejectionCodes.InsufficientFunds
        : balances[from] - amount < -Judge.BalanceLimit || balances[to] + amount > Judge.BalanceLimit ? RejectionCodes.BalanceOverflow
        : null;

    // Small amounts, so that balances are hit exactly; and huge ones, so that limits are.
    private static Gen<(int From, int To, long Amount)> Movements =>
        from @from in Gen.Frequency((2, Gen.Constant(Settlement)), (3, Gen.Choose(1, Users)))
        from to in Gen.Choose(0, Users).Where(to => to != @from)
        from amount in Gen.Frequency((6, Gen.Choose(1, 20).Select(amount => (long)amount)), (1, Gen.Elements(Currency.MaxAmount, Currency.MaxAmount / 2)))
        select (@from, to, amount);

    private static AccountState[] Accounts() =>
        [Account() with { AllowNegative = true }, .. Enumerable.Range(1, Users).Select(user => Account() with { Frozen = user == FrozenUser })];

    private static AccountState Account(long posted = 0, long held = 0) =>
        new() { Id = Guid.NewGuid(), Currency = "TST", Posted = posted, Held = held };
}
