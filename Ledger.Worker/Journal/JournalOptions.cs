using System.ComponentModel.DataAnnotations;

namespace Ledger.Worker.Journal;

/// <summary>How often decided transactions are sealed into the journal: <c>Ledger__Journal__…</c>.</summary>
public sealed class JournalOptions
{
    /// <summary>Milliseconds between two looks for transactions to seal, by the one worker that seals.</summary>
    [Range(5, 10_000)]
    public int SealMilliseconds { get; set; } = 50;

    /// <summary>Transactions that one block holds at most.</summary>
    [Range(1, 100_000)]
    public int BlockLength { get; set; } = 10_000;
}
