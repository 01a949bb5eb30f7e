namespace Ledger.Core.Posting;

/// <summary>An account as a batch sees it: as it was locked, with what the batch has done to it so far. Minor units.</summary>
public struct AccountState
{
    public Guid Id;
    /// <summary>Null on a settlement account.</summary>
    public Guid? OwnerId;
    public string Currency;
    public long Posted;
    public long Held;
    /// <summary>Settlement accounts may: their balance mirrors what the world outside owes.</summary>
    public bool AllowNegative;
    public bool Frozen;
    /// <summary>Opened by this batch, if a command that is posted needs it.</summary>
    public bool IsNew;
    public bool Touched;

    public readonly long Available => Posted - Held;
}
