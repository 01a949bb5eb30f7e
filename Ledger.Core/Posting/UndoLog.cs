namespace Ledger.Core.Posting;

/// <summary>
/// What plans have done to the accounts of a batch, change by change: to take it back, and to write entries from. It is used
/// again for each batch, so that it allocates only while it grows.
/// </summary>
public sealed class UndoLog
{
    private Change[] _changes = new Change[256];

    /// <summary>How many changes there are: the mark that <see cref="RollBack"/> and <see cref="Since"/> take.</summary>
    public int Count { get; private set; }

    /// <summary>The changes behind a mark, in the order in which they were made.</summary>
    public ReadOnlySpan<Change> Since(int mark) => _changes.AsSpan(mark..Count);

    /// <summary>Takes back every change behind a mark, the last one first.</summary>
    public void RollBack(int mark, Span<AccountState> accounts)
    {
        while (Count > mark)
        {
            ref readonly var change = ref _changes[--Count];
            ref var account = ref accounts[change.Account];
            account.Posted -= change.Amount;
            account.Held -= change.Held;
            account.Touched = change.WasTouched;
        }
    }

    /// <summary>Forgets every change: what a batch has committed is not taken back.</summary>
    public void Clear() => Count = 0;

    internal void Apply(Span<AccountState> accounts, int place, long amount, long held)
    {
        ref var account = ref accounts[place];
        if (Count == _changes.Length)
            Array.Resize(ref _changes, Count * 2);
        account.Posted += amount;
        account.Held += held;
        _changes[Count++] = new Change(place, amount, held, account.Posted, account.Touched);
        account.Touched = true;
    }

    /// <summary>One change of one account.</summary>
    /// <param name="Account">The account's place among the batch's accounts.</param>
    /// <param name="Amount">What was added to the posted balance; 0 if only holds changed.</param>
    /// <param name="Held">What was added to the held amount.</param>
    /// <param name="PostedAfter">The posted balance with this change.</param>
    /// <param name="WasTouched">Whether the batch had changed the account before.</param>
    public readonly record struct Change(int Account, long Amount, long Held, long PostedAfter, bool WasTouched);
}
