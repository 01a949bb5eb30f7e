using Ledger.Core.Transactions;

namespace Ledger.Core.Posting;

/// <summary>The decision on one command of a batch.</summary>
/// <param name="TransactionId">The transaction that answers the command: its own, or the one that its idempotency key stands for.</param>
/// <param name="Outcome">That transaction; null if it is pending, or if the key stands for another request.</param>
/// <param name="Failure">Why the command cannot be posted; null if it can.</param>
public sealed record Decision(Command Command, DecisionKind Kind, Guid TransactionId, Transaction? Outcome, string? Failure = null);

/// <summary>Where the answer to a command comes from.</summary>
public enum DecisionKind
{
    /// <summary>This commit decided the command.</summary>
    Decided,
    /// <summary>The command was delivered again: an earlier commit, or this batch, decided it. Its events may not have been published.</summary>
    Known,
    /// <summary>Another command with the same idempotency key and meaning was decided or is pending; the transaction is that command's.</summary>
    Replayed,
    /// <summary>The idempotency key stands for another request.</summary>
    KeyReused,
    /// <summary>The command is not decided. It is pending: the relay publishes it again, or it failed and waits for an operator.</summary>
    Undecided,
}
