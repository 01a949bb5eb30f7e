using System.ComponentModel.DataAnnotations;

namespace Ledger.Worker.Journal;

/// <summary>Sealing of decided transactions into the journal: <c>Ledger__Journal__…</c>.</summary>
public sealed class JournalOptions
{
    /// <summary>Milliseconds between two blocks of the worker that seals.</summary>
    [Range(5, 10_000)]
    public int SealMilliseconds { get; set; } = 50;

    /// <summary>The largest number of transactions in a block.</summary>
    [Range(1, 100_000)]
    public int BlockLength { get; set; } = 10_000;
}
