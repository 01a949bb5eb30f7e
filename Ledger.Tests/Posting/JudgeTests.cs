using FsCheck;
using FsCheck.Fluent;
using Ledger.Core.Currencies;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Posting;

/// <summary>The rules of plans, without a database.</summary>
public sealed class JudgeTests
{
    private const int Settlement = 0;
    private const int Users = 5;
    private const int FrozenUser = 4;
    private const int UserWithCredit = 5;
    private const long Credit = 15;

    private readonly UndoLog _undo = new();

    [Fact]
    public void A_movement_debits_one_account_and_credits_the_other()
    {
        AccountState[] accounts = [Account(posted: 100), Account(posted: 5)];

        Assert.Null(Move(accounts, 0, 1, 100));

        Assert.Equal([(0, true), (105, true)], accounts.Select(account => (account.Posted, account.Touched)));
    }

    [Fact]
    public void Held_money_is_not_available()
    {
        AccountState[] accounts = [Account(posted: 100, held: 40), Account()];

        Assert.Equal(new Rejection(RejectionCodes.InsufficientFunds, 60), Move(accounts, 0, 1, 61));
        Assert.Null(Move(accounts, 0, 1, 60));
    }

    [Fact]
    public void Account_goes_below_zero_down_to_its_credit_limit()
    {
        AccountState[] accounts = [Account(posted: 10) with { CreditLimit = 30 }, Account()];

        Assert.Equal(new Rejection(RejectionCodes.InsufficientFunds, 40), Move(accounts, 0, 1, 41));
        Assert.Null(Move(accounts, 0, 1, 40));
        Assert.Equal(-30, accounts[0].Posted);
    }

    [Fact]
    public void No_money_moves_to_or_from_a_frozen_account()
    {
        AccountState[] accounts = [Account(posted: 100) with { Status = AccountStatus.Frozen }, Account(posted: 100)];

        Assert.Equal(new Rejection(RejectionCodes.AccountFrozen), Move(accounts, 0, 1, 1));
        Assert.Equal(new Rejection(RejectionCodes.AccountFrozen), Move(accounts, 1, 0, 1));
        Assert.DoesNotContain(accounts, account => account.Touched);
    }

    [Fact]
    public void A_balance_stays_within_the_limit_in_both_directions()
    {
        AccountState[] accounts = [Unlimited(), Account(posted: Judge.BalanceLimit - 5), Unlimited(posted: -Judge.BalanceLimit + 5), Account()];

        Assert.Equal(new Rejection(RejectionCodes.BalanceOverflow), Move(accounts, 0, 1, 6));
        Assert.Null(Move(accounts, 0, 1, 5));
        Assert.Equal(new Rejection(RejectionCodes.BalanceOverflow), Move(accounts, 2, 3, 6));
        Assert.Null(Move(accounts, 2, 3, 5));
    }

    [Fact]
    public void Plan_that_fails_in_its_last_movement_changes_nothing_and_names_the_movement()
    {
        AccountState[] accounts = [Account(posted: 100), Account(), Account()];
        var before = (AccountState[])accounts.Clone();

        var rejection = Judge.Apply(new Plan([new(0, 1, 60), new(1, 2, 60), new(0, 2, 41)]), accounts, _undo);

        Assert.Equal(new Rejection(RejectionCodes.InsufficientFunds, 40, Index: 2), rejection);
        Assert.Equal(before, accounts);
        Assert.Equal(0, _undo.Count);
    }

    [Fact]
    public void Movement_spends_the_amount_of_an_earlier_movement()
    {
        AccountState[] accounts = [Account(posted: 100), Account(), Account()];

        Assert.Null(Judge.Apply(new Plan([new(0, 1, 100), new(1, 2, 97)]), accounts, _undo));

        Assert.Equal([0, 3, 97], accounts.Select(account => account.Posted));
        Assert.Equal([0L, 100, 3, 97], _undo.Since(0).ToArray().Select(change => change.PostedAfter));
    }

    [Fact]
    public void Capture_spends_the_amount_that_it_releases()
    {
        AccountState[] accounts = [Account(posted: 100, held: 80), Account()];

        Assert.Null(Judge.Apply(new Plan([new(0, 1, 70)], [new(0, -80)]), accounts, _undo));

        Assert.Equal((30, 0), (accounts[0].Posted, accounts[0].Held));
    }

    [Fact]
    public void Hold_above_the_available_balance_is_rejected()
    {
        AccountState[] accounts = [Account(posted: 100, held: 80)];

        Assert.Equal(new Rejection(RejectionCodes.InsufficientFunds, 20), Judge.Apply(new Plan([], [new(0, 21)]), accounts, _undo));
        Assert.Null(Judge.Apply(new Plan([], [new(0, 20)]), accounts, _undo));
        Assert.Throws<ArgumentOutOfRangeException>(() => { Judge.Apply(new Plan([], [new(0, -101)]), accounts, _undo); });
        Assert.Equal((100, 100), (accounts[0].Posted, accounts[0].Held));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(long.MinValue)]
    [InlineData(Currency.MaxAmount + 1)]
    [InlineData(long.MaxValue)]
    public void Amount_out_of_range_is_an_error(long amount)
    {
        AccountState[] accounts = [Account(posted: 100), Account()];

        Assert.Throws<ArgumentOutOfRangeException>(() => { Judge.Apply(new Plan([new(0, 1, 1), new(0, 1, amount)]), accounts, _undo); });
        Assert.Equal([100, 0], accounts.Select(account => account.Posted));
    }

    [Fact]
    public void A_plan_has_1_to_64_movements()
    {
        Assert.Throws<ArgumentException>(() => { _ = new Plan([]); });
        Assert.Throws<ArgumentException>(() => { _ = new Plan(new Movement[Plan.MaxMovements + 1]); });
        Assert.Equal(Plan.MaxMovements, new Plan(new Movement[Plan.MaxMovements]).Movements.Length);
    }

    [Fact]
    public void A_plan_of_one_movement_allocates_nothing()
    {
        AccountState[] accounts = [Unlimited(), Account()];
        Run(100);
        _undo.Clear();

        var before = GC.GetAllocatedBytesForCurrentThread();
        Run(100);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Run(int plans)
        {
            for (var i = 0; i < plans; i++)
            {
                var movement = new Movement(0, 1, 1);
                Judge.Apply(new Plan(new ReadOnlySpan<Movement>(in movement)), accounts, _undo);
            }
        }
    }

    [Fact]
    public void Any_sequence_of_plans_gives_the_balances_of_the_naive_ledger() => Law.HoldsForSequences(Plans, plans =>
    {
        var accounts = Accounts();
        var naive = Naive();
        var undo = new UndoLog();
        foreach (var (effects, movements) in plans)
        {
            // A release of more than is held is no plan that a compiler makes.
            if (effects.Any(effect => effect.Amount < 0 && naive.Held[effect.Account] + effect.Amount < 0))
                continue;
            var before = (AccountState[])accounts.Clone();
            var mark = undo.Count;
            var rejection = Judge.Apply(new Plan(movements, effects), accounts, undo);

            Assert.Equal(naive.Apply(effects, movements), rejection?.Code);
            if (rejection is null)
                continue;
            Assert.Equal(before, accounts);
            Assert.Equal(mark, undo.Count);
        }

        Assert.Equal(naive.Posted, accounts.Select(account => (Int128)account.Posted));
        Assert.Equal(naive.Held, accounts.Select(account => (Int128)account.Held));
        Assert.Equal(0, accounts.Aggregate((Int128)0, (sum, account) => sum + account.Posted));
        Assert.All(accounts, account => Assert.True(account.IsUnlimited || account.Available >= 0));
    });

    [Fact]
    public void Any_sequence_of_plans_can_be_undone_together() => Law.HoldsForSequences(
        from plan in Plans from isCommitted in Gen.Elements(true, false, false) select (plan, isCommitted),
        sequence =>
        {
            var accounts = Accounts();
            var undo = new UndoLog();
            foreach (var ((effects, movements), _) in sequence.Where(item => item.isCommitted))
                Apply(effects, movements);
            var (before, mark) = ((AccountState[])accounts.Clone(), undo.Count);

            foreach (var ((effects, movements), _) in sequence.Where(item => !item.isCommitted))
                Apply(effects, movements);
            undo.RollBack(mark, accounts);

            Assert.Equal(before, accounts);
            Assert.Equal(mark, undo.Count);

            void Apply(HoldEffect[] effects, Movement[] movements)
            {
                if (effects.All(effect => effect.Amount > 0 || accounts[effect.Account].Held + effect.Amount >= 0))
                    Judge.Apply(new Plan(movements, effects), accounts, undo);
            }
        });

    [Fact]
    public void Any_order_of_independent_movements_gives_the_same_balances() => Law.HoldsForSequences(
        from movement in Movements from turn in Gen.Choose(0, int.MaxValue) select (movement, turn),
        sequence =>
        {
            // Money in and out of each user, amounts far from the limits: what one user does does not concern the others.
            var independent = sequence
                .Where(item => (item.movement.From == Settlement) != (item.movement.To == Settlement))
                .Select((item, place) => (Movement: item.movement with { Amount = item.movement.Amount % 1000 + 1 }, item.turn, place))
                .ToArray();

            // Another interleaving, in which each user's own order stays.
            var turns = independent.GroupBy(item => item.Movement.From + item.Movement.To).ToDictionary(user => user.Key, user => new Queue<int>(user.Select(item => item.turn).Order()));
            var other = independent.Select(item => (item, turn: turns[item.Movement.From + item.Movement.To].Dequeue())).OrderBy(item => item.turn).ThenBy(item => item.item.place).Select(item => item.item);

            Assert.Equal(BalancesAfter(independent.Select(item => item.Movement)), BalancesAfter(other.Select(item => item.Movement)));
        });

    private Rejection? Move(AccountState[] accounts, int from, int to, long amount) => Judge.Apply(new Plan([new(from, to, amount)]), accounts, _undo);

    private static IEnumerable<long> BalancesAfter(IEnumerable<Movement> movements)
    {
        var accounts = Accounts();
        var undo = new UndoLog();
        foreach (var movement in movements)
            Judge.Apply(new Plan([movement]), accounts, undo);
        return accounts.Select(account => account.Posted);
    }

    // Small amounts, so that balances are hit exactly; and huge ones, so that limits are.
    private static Gen<Movement> Movements =>
        from @from in Gen.Frequency((2, Gen.Constant(Settlement)), (3, Gen.Choose(1, Users)))
        from to in Gen.Choose(0, Users).Where(to => to != @from)
        from amount in Gen.Frequency((6, Gen.Choose(1, 20).Select(amount => (long)amount)), (1, Gen.Elements(Currency.MaxAmount, Currency.MaxAmount / 2)))
        select new Movement(@from, to, amount);

    private static Gen<HoldEffect> HoldEffects =>
        from account in Gen.Choose(1, Users)
        from amount in Gen.Choose(-10, 10).Where(amount => amount != 0)
        select new HoldEffect(account, amount);

    private static Gen<(HoldEffect[] Effects, Movement[] Movements)> Plans =>
        from count in Gen.Frequency((4, Gen.Constant(1)), (2, Gen.Choose(2, 4)), (1, Gen.Constant(Plan.MaxMovements)))
        from movements in Movements.ArrayOf(count)
        from effects in Gen.Frequency((3, Gen.Constant<HoldEffect[]>([])), (1, HoldEffects.Select(effect => (HoldEffect[])[effect])))
        from isHoldOnly in Gen.Elements(false, false, true)
        select (effects, isHoldOnly && effects.Length > 0 ? [] : movements);

    private static AccountState[] Accounts() =>
    [
        Unlimited(),
        .. Enumerable.Range(1, Users).Select(user => Account() with { Status = user == FrozenUser ? AccountStatus.Frozen : AccountStatus.Open, CreditLimit = user == UserWithCredit ? Credit : 0 }),
    ];

    private static NaiveAccounts Naive() => new([null, .. Enumerable.Range(1, Users).Select(user => (long?)(user == UserWithCredit ? Credit : 0))], FrozenUser);

    private static AccountState Account(long posted = 0, long held = 0) =>
        new() { Id = Guid.NewGuid(), Currency = "TST", Posted = posted, Held = held };

    private static AccountState Unlimited(long posted = 0) => Account(posted) with { IsUnlimited = true };
}
