using Ledger.Core.Transactions;

namespace Ledger.Worker.Posting;

/// <summary>A message as it came from the queue.</summary>
/// <param name="Tag">What acknowledges it.</param>
/// <param name="ReplyTo">The queue of the API instance that waits; null if nobody does.</param>
/// <param name="Number">How often it has been delivered, this time included.</param>
/// <param name="Commands">Its commands, as far as they can be read.</param>
/// <param name="Unreadable">What cannot be read.</param>
internal sealed record Delivery(ulong Tag, string? ReplyTo, long Number, IReadOnlyList<Command> Commands, IReadOnlyList<byte[]> Unreadable);

/// <summary>Messages that were posted together, with what became of their commands.</summary>
/// <param name="Deliveries">In the order in which they came.</param>
/// <param name="Answers">In the order of the deliveries' commands.</param>
/// <param name="Trace">The spans of those commands that are traced; null if none is.</param>
internal sealed record PostedBatch(IReadOnlyList<Delivery> Deliveries, IReadOnlyList<Answer> Answers, BatchTrace? Trace);

/// <summary>What became of a command, and who waits to hear it.</summary>
internal readonly record struct Answer(string? ReplyTo, PostingResult Result);
