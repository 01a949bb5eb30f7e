using System.Collections.Concurrent;
using System.Diagnostics;
using Ledger.Core;
using Ledger.Core.Currencies;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Worker.Posting;

namespace Ledger.Tests.Posting;

/// <summary>The spans of a batch's commands.</summary>
public sealed class BatchTraceTests
{
    [Fact]
    public void Traced_command_that_occurs_twice_in_a_batch_has_two_spans_with_their_own_outcomes()
    {
        var trace = ActivityTraceId.CreateRandom();
        var ended = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == LedgerTelemetry.Name,
            // Other tests run beside this one.
            Sample = (ref ActivityCreationOptions<ActivityContext> options) =>
                options.Parent.TraceId == trace ? ActivitySamplingResult.AllDataAndRecorded : ActivitySamplingResult.None,
            ActivityStopped = ended.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        var untraced = Deposit(null);
        var twice = Deposit($"00-{trace}-{ActivitySpanId.CreateRandom()}-01");

        var batch = BatchTrace.Start([untraced, twice, untraced, twice])!;
        batch.End([Replayed(untraced), Replayed(twice), Replayed(untraced), new Answer(null, new Decision(twice, DecisionKind.Undecided, twice.Id, null, "Impossible."))]);

        Assert.Equal(
            [(twice.Id, "replayed", ActivityStatusCode.Unset), (twice.Id, "failed", ActivityStatusCode.Error)],
            ended.Select(span => ((Guid)span.GetTagItem("ledger.transaction.id")!, (string)span.GetTagItem("ledger.outcome")!, span.Status)));
    }

    private static Answer Replayed(Command command) => new(null, new Decision(command, DecisionKind.Replayed, command.Id, null));

    private static Command Deposit(string? traceParent) => new()
    {
        Id = Guid.CreateVersion7(),
        Kind = TransactionKind.Deposit,
        OwnerId = Guid.CreateVersion7(),
        PrincipalId = Guid.CreateVersion7(),
        Amount = new Money(1, "USD"),
        CreatedAt = new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc),
        TraceParent = traceParent,
    };
}
