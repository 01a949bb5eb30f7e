namespace Ledger.Core.Posting;

/// <summary>An account as a batch sees it: as it was locked, with what the batch has done to it so far. Minor units.</summary>
public struct AccountState
{
    public Guid Id;
    /// <summary>Null on house accounts and shards.</summary>
    public Guid? OwnerId;
    public string Currency;
    public long Posted;
    public long Held;
    /// <summary>How far below zero the account may go, 0 or more.</summary>
    public long CreditLimit;
    /// <summary>Set on shards: a settlement balance mirrors what the world outside owes, and an exchange balance the position of the exchange.</summary>
    public bool IsUnlimited;
    public AccountStatus Status;
    /// <summary>When its last entry was posted, UTC; the smallest time without one.</summary>
    public DateTime LastPostedAt;
    /// <summary>Opened by this batch, if a command that is posted needs it.</summary>
    public bool IsNew;
    /// <summary>Changed by this batch.</summary>
    public bool Touched;

    /// <summary>What can be spent or held. At most 18 digits more than <see cref="Judge.BalanceLimit"/>, so the sum does not overflow.</summary>
    public readonly long Available => Posted - Held + CreditLimit;
}

/// <summary>Whether money may move on an account.</summary>
public enum AccountStatus
{
    Open,
    /// <summary>By an operator, until an operator opens it again.</summary>
    Frozen,
    /// <summary>For good.</summary>
    Closed,
}
