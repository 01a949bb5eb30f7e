using Ledger.Core.Posting;
using Ledger.Core.Transactions;

namespace Ledger.Tests.Posting;

/// <summary>Accounts as plain numbers: a plan is tried on a copy, which replaces the original if every step was possible.</summary>
/// <param name="limits">How far below zero each account may go; null for no limit.</param>
/// <param name="frozen">The place of an account on which no money moves; -1 for none.</param>
internal sealed class NaiveAccounts(IReadOnlyList<long?> limits, int frozen = -1)
{
    private Int128[] _posted = new Int128[limits.Count];
    private Int128[] _held = new Int128[limits.Count];

    public IReadOnlyList<Int128> Posted => _posted;

    public IReadOnlyList<Int128> Held => _held;

    /// <summary>The code of the first step that is not possible, or null once all are made.</summary>
    public string? Apply(IReadOnlyList<HoldEffect> effects, IReadOnlyList<Movement> movements)
    {
        var (posted, held) = ((Int128[])_posted.Clone(), (Int128[])_held.Clone());
        foreach (var (account, amount) in effects)
        {
            if (amount > 0 && account == frozen)
                return RejectionCodes.AccountFrozen;
            held[account] += amount;
            if (amount > 0 && IsShort(account))
                return RejectionCodes.InsufficientFunds;
        }
        foreach (var (from, to, amount) in movements)
        {
            if (from == frozen)
                return RejectionCodes.AccountFrozen;
            posted[from] -= amount;
            if (IsShort(from))
                return RejectionCodes.InsufficientFunds;
            if (to == frozen)
                return RejectionCodes.AccountFrozen;
            posted[to] += amount;
            if (posted[from] < -Judge.BalanceLimit || posted[to] > Judge.BalanceLimit)
                return RejectionCodes.BalanceOverflow;
        }
        (_posted, _held) = (posted, held);
        return null;

        bool IsShort(int account) => limits[account] is { } limit && posted[account] - held[account] < -limit;
    }
}
