using System.Diagnostics;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;

namespace Ledger.Core.Posting;

/// <summary>The rules of the ledger, without a database: may this money move, and what does it leave behind.</summary>
public static class Judge
{
    /// <summary>
    /// No balance goes beyond this, in minor units and either direction: half of what the database's bigint holds. The other half
    /// is room for workers that add to one settlement shard at once, each from its own reading of it. The database refuses what
    /// exceeds even that (22003), and the batch is judged again.
    /// </summary>
    public const long BalanceLimit = long.MaxValue / 2;

    /// <summary>Applies a whole plan to the accounts, or says why not and changes nothing.</summary>
    /// <param name="accounts">The accounts that the plan's places refer to.</param>
    /// <param name="undo">Gets every change, also those of plans before this one: the caller can take back several plans at once.</param>
    /// <exception cref="ArgumentException">The plan is one that no compiler makes; nothing is changed.</exception>
    public static Rejection? Apply(Plan plan, Span<AccountState> accounts, UndoLog undo)
    {
        var mark = undo.Count;
        try
        {
            foreach (var effect in plan.HoldEffects)
            {
                if (Hold(accounts, effect, undo) is { } rejection)
                {
                    undo.RollBack(mark, accounts);
                    return rejection;
                }
            }
            for (var i = 0; i < plan.Movements.Length; i++)
            {
                if (Move(accounts, plan.Movements[i], undo) is { } rejection)
                {
                    undo.RollBack(mark, accounts);
                    return plan.Movements.Length == 1 ? rejection : rejection with { Index = i };
                }
            }
            return null;
        }
        catch
        {
            undo.RollBack(mark, accounts);
            throw;
        }
    }

    private static Rejection? Move(Span<AccountState> accounts, Movement movement, UndoLog undo)
    {
        ref readonly var from = ref accounts[movement.From];
        ref readonly var to = ref accounts[movement.To];
        var amount = movement.Amount;
        ArgumentOutOfRangeException.ThrowIfLessThan(amount, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(amount, Currency.MaxAmount);
        if (movement.From == movement.To || from.Currency != to.Currency)
            throw new ArgumentException("A movement needs two different accounts of one currency.", nameof(movement));

        // Funds before the recipient: a sender learns of a user only if it could pay that user.
        if (Debit(from, amount) is { } refusal)
            return refusal;
        if (to.Status != AccountStatus.Open)
            return NotOpen(to.Status);
        if (from.Posted < -BalanceLimit + amount || to.Posted > BalanceLimit - amount)
            return new Rejection(RejectionCodes.BalanceOverflow);

        undo.Apply(accounts, movement.From, -amount, held: 0);
        undo.Apply(accounts, movement.To, amount, held: 0);
        Debug.Assert(from.IsUnlimited || from.Available >= 0);
        return null;
    }

    /// <summary>Why an account cannot pay an amount of 1 or more; null if it can.</summary>
    public static Rejection? Debit(in AccountState from, long amount) =>
        from.Status != AccountStatus.Open ? NotOpen(from.Status)
        : !from.IsUnlimited && from.Available < amount ? new Rejection(RejectionCodes.InsufficientFunds, from.Available)
        : null;

    private static Rejection? Hold(Span<AccountState> accounts, HoldEffect effect, UndoLog undo)
    {
        ref readonly var account = ref accounts[effect.Account];
        // A release is judged by the hold itself, which the compiler has read; an account that is frozen still gets its money back.
        if (effect.Amount == 0 || account.Held + effect.Amount < 0 || effect.Amount > Currency.MaxAmount)
            throw new ArgumentOutOfRangeException(nameof(effect), effect.Amount, "A hold effect sets aside an amount, or releases what is held.");
        if (effect.Amount > 0 && account.Status != AccountStatus.Open)
            return NotOpen(account.Status);
        if (effect.Amount > 0 && !account.IsUnlimited && account.Available < effect.Amount)
            return new Rejection(RejectionCodes.InsufficientFunds, account.Available);
        undo.Apply(accounts, effect.Account, amount: 0, effect.Amount);
        return null;
    }

    private static Rejection NotOpen(AccountStatus status) =>
        new(status == AccountStatus.Frozen ? RejectionCodes.AccountFrozen : RejectionCodes.AccountClosed);
}
