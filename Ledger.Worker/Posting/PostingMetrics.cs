using System.Diagnostics.Metrics;
using Ledger.Core;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;

namespace Ledger.Worker.Posting;

/// <summary>Metrics of posting: decisions, commits and batches.</summary>
internal static class PostingMetrics
{
    public static readonly Histogram<double> CommitDuration = LedgerTelemetry.Meter.CreateHistogram<double>(
        "ledger.commit.duration", "s", "From the lock to the commit of a batch.");

    public static readonly Histogram<long> BatchSize = LedgerTelemetry.Meter.CreateHistogram<long>(
        "ledger.batch.size", "{command}", "Commands in one commit.");

    public static readonly Counter<long> Events = LedgerTelemetry.Meter.CreateCounter<long>(
        "ledger.events.published", "{event}", "Events that were published.");

    public static readonly Counter<long> RefusedEvents = LedgerTelemetry.Meter.CreateCounter<long>(
        "ledger.events.refused", "{message}", "Messages of events that a subscriber's queue refused.");

    private static readonly Histogram<double> QueueAge = LedgerTelemetry.Meter.CreateHistogram<double>(
        "ledger.queue.age", "s", "From a command's acceptance by the API to the start of its batch.");

    private static readonly Counter<long> Posted = LedgerTelemetry.Meter.CreateCounter<long>(
        "ledger.commands.posted", "{command}", "Commands that were posted, by kind.");

    private static readonly Counter<long> Rejected = LedgerTelemetry.Meter.CreateCounter<long>(
        "ledger.commands.rejected", "{command}", "Commands that were rejected, by kind and reason.");

    private static readonly Counter<long> Failed = LedgerTelemetry.Meter.CreateCounter<long>(
        "ledger.commands.failed", "{command}", "Commands that ended as failed, by kind.");

    private static readonly Counter<long> Replayed = LedgerTelemetry.Meter.CreateCounter<long>(
        "ledger.commands.replayed", "{command}", "Commands that were answered with an earlier outcome.");

    private static readonly Counter<long> DeadLetters = LedgerTelemetry.Meter.CreateCounter<long>(
        "ledger.dead_letters", "{message}", "Messages and commands that could not be posted and went to the dead letters.");

    public static void StartAtZero()
    {
        DeadLetters.Add(0);
        Replayed.Add(0);
        Events.Add(0);
        RefusedEvents.Add(0);
        foreach (var kind in Enum.GetValues<TransactionKind>())
        {
            Posted.Add(0, new KeyValuePair<string, object?>("kind", kind.Name()));
            Failed.Add(0, new KeyValuePair<string, object?>("kind", kind.Name()));
        }
    }

    public static void RecordAge(IReadOnlyList<Command> commands, DateTime now)
    {
        foreach (var command in commands)
            QueueAge.Record(Math.Max(0, (now - command.CreatedAt).TotalSeconds));
    }

    /// <summary>Counts a dead letter that came from no batch.</summary>
    public static void CountDeadLetter() => DeadLetters.Add(1);

    /// <summary>Counts commands that ended as failed.</summary>
    public static void CountFailed(IEnumerable<Transaction> failed)
    {
        foreach (var transaction in failed)
            Failed.Add(1, new KeyValuePair<string, object?>("kind", transaction.Kind));
    }

    public static void Count(PostedBatch batch)
    {
        var unreadable = batch.Deliveries.Sum(delivery => delivery.Content.Unreadable.Count);
        if (unreadable > 0)
            DeadLetters.Add(unreadable);
        foreach (var decision in batch.Answers.Select(answer => answer.Decision))
        {
            if (decision.Failure is not null)
                DeadLetters.Add(1);
            switch (decision)
            {
                case { Kind: DecisionKind.Undecided }:
                    break;
                case { Kind: DecisionKind.Decided, Outcome: { Status: TransactionStatus.Failed } failed }:
                    CountFailed([failed]);
                    break;
                case { Kind: DecisionKind.Decided, Outcome: { Rejection: { } rejection } outcome }:
                    Rejected.Add(1, new("kind", outcome.Kind), new("reason", rejection.Code));
                    break;
                case { Kind: DecisionKind.Decided, Outcome: { } outcome }:
                    Posted.Add(1, new KeyValuePair<string, object?>("kind", outcome.Kind));
                    break;
                default:
                    Replayed.Add(1);
                    break;
            }
        }
    }
}
