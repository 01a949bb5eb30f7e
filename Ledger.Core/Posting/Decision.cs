using Ledger.Core.Transactions;

namespace Ledger.Core.Posting;

/// <summary>What the engine says of one command of a batch.</summary>
/// <param name="TransactionId">The transaction that answers the command: its own, or the one that its key stands for.</param>
/// <param name="Outcome">That transaction; null if it is pending, if the key stands for another body, or if it waits for an operator.</param>
public sealed record Decision(Command Command, DecisionKind Kind, Guid TransactionId, Transaction? Outcome);

/// <summary>Where a command's answer comes from.</summary>
public enum DecisionKind
{
    /// <summary>Judged and written by this commit.</summary>
    Decided,
    /// <summary>Decided before, by an earlier commit or further up in this batch: the command was delivered again, and its events may not have gone out.</summary>
    Known,
    /// <summary>Another command with the same idempotency key and body was decided, or is pending; the transaction is that one's.</summary>
    Replayed,
    /// <summary>The idempotency key stands for another body.</summary>
    KeyReused,
    /// <summary>It failed before, and waits for an operator: it is not posted now.</summary>
    AwaitsOperator,
}
