using Ledger.Core.Posting;
using Ledger.Core.Transactions;

namespace Ledger.Worker.Posting;

/// <summary>A message of the command queue.</summary>
/// <param name="Tag">The delivery tag, which acknowledges the message.</param>
/// <param name="ReplyTo">The reply queue of the API process that waits; null if none waits.</param>
/// <param name="Number">How often RabbitMQ has delivered the message, this time included.</param>
/// <param name="IsRelayed">Whether the relay sent the message. An earlier copy then published the events of what it decided.</param>
internal sealed record Delivery(ulong Tag, string? ReplyTo, long Number, bool IsRelayed, EnvelopeContent Content)
{
    public IReadOnlyList<Command> Commands => Content.Commands;
}

/// <summary>Messages that were posted together, with the decisions on their commands.</summary>
/// <param name="Deliveries">In the order in which RabbitMQ delivered them.</param>
/// <param name="Answers">In the order of the deliveries' commands.</param>
/// <param name="Trace">The spans of the traced commands; null if no command is traced.</param>
internal sealed record PostedBatch(IReadOnlyList<Delivery> Deliveries, IReadOnlyList<Answer> Answers, BatchTrace? Trace);

/// <summary>The decision on a command, and the reply queue that it goes to.</summary>
/// <param name="IsRepeated">Whether another message publishes the events of the outcome, unless this one decided it.</param>
internal readonly record struct Answer(string? ReplyTo, Decision Decision, bool IsRepeated = false);
