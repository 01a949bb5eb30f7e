using System.Diagnostics;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;

namespace Ledger.Core.Posting;

/// <summary>The rules of the ledger, without a database: may this money move, and what does it leave behind.</summary>
public static class Judge
{
    /// <summary>
    /// No balance goes beyond this, in minor units and either direction: half of what the database's bigint holds, which leaves room
    /// for workers that add to one settlement shard at once, each from its own reading of it. What is too much even for that, the
    /// database refuses (22003), and it is judged again.
    /// </summary>
    public const long BalanceLimit = long.MaxValue / 2;

    /// <summary>
    /// Moves an amount from one account to another, or says why not and changes nothing.
    /// </summary>
    /// <param name="amount">Minor units, positive.</param>
    public static Rejection? Move(ref AccountState from, ref AccountState to, long amount)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(amount, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(amount, Currency.MaxAmount);
        if (from.Currency != to.Currency || from.Id == to.Id)
            throw new ArgumentException("Money moves between two accounts of one currency.");

        if (from.Frozen || to.Frozen)
            return new Rejection(RejectionCodes.AccountFrozen);
        if (!from.AllowNegative && from.Available < amount)
            return new Rejection(RejectionCodes.InsufficientFunds, from.Available);
        if (from.Posted < -BalanceLimit + amount || to.Posted > BalanceLimit - amount)
            return new Rejection(RejectionCodes.BalanceOverflow);

        Add(ref from, -amount);
        Add(ref to, amount);
        return null;
    }

    private static void Add(ref AccountState account, long amount)
    {
        account.Posted += amount;
        account.Touched = true;
        Debug.Assert(account.AllowNegative || account.Available >= 0);
    }
}
