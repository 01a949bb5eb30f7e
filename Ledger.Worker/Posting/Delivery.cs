using Ledger.Core.Transactions;

namespace Ledger.Worker.Posting;

/// <summary>A message as it came from the queue.</summary>
/// <param name="Tag">What acknowledges it.</param>
/// <param name="ReplyTo">The queue of the API instance that waits; null if nobody does.</param>
/// <param name="Number">How often it has been delivered, this time included.</param>
/// <param name="IsRelayed">Whether the relay sent it: then an earlier copy of it announced what it decided.</param>
internal sealed record Delivery(ulong Tag, string? ReplyTo, long Number, bool IsRelayed, EnvelopeContent Content)
{
    public IReadOnlyList<Command> Commands => Content.Commands;
}

/// <summary>Messages that were posted together, with what became of their commands.</summary>
/// <param name="Deliveries">In the order in which they came.</param>
/// <param name="Answers">In the order of the deliveries' commands.</param>
/// <param name="Trace">The spans of those commands that are traced; null if none is.</param>
internal sealed record PostedBatch(IReadOnlyList<Delivery> Deliveries, IReadOnlyList<Answer> Answers, BatchTrace? Trace);

/// <summary>What became of a command, and who waits to hear it.</summary>
/// <param name="IsRepeated">Whether another message announces the outcome if this one did not decide it.</param>
internal readonly record struct Answer(string? ReplyTo, PostingResult Result, bool IsRepeated = false);
