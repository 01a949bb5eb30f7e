using System.Diagnostics;
using Ledger.Api.Transactions;
using Ledger.Core;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;

namespace Ledger.Tests.Messaging;

/// <summary>What waits to be sent has a bound, and what finds no room leaves nothing behind.</summary>
public sealed class OutgoingQueueTests
{
    [Fact]
    public void Full_queue_refuses_a_command_until_one_was_sent()
    {
        var queue = new OutgoingQueue(2);

        Assert.True(queue.TryAdd(Command()));
        Assert.True(queue.HasRoom);
        Assert.True(queue.TryAdd(Command()));
        Assert.False(queue.HasRoom);
        Assert.False(queue.TryAdd(Command()));

        Assert.True(queue.Reader.TryRead(out _));
        Assert.True(queue.HasRoom);
        Assert.True(queue.TryAdd(Command()));
    }

    [Fact]
    public void Span_of_a_refused_command_ends_at_once()
    {
        using var request = new Activity("request").SetIdFormat(ActivityIdFormat.W3C).Start();
        request.ActivityTraceFlags = ActivityTraceFlags.Recorded;
        // Before there is a listener: it is asked about a source while that is being made.
        var spans = LedgerTelemetry.Spans;
        List<Activity> stopped = [];
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source == spans,
            Sample = (ref options) => options.Parent.TraceId == request.TraceId ? ActivitySamplingResult.AllDataAndRecorded : ActivitySamplingResult.None,
            ActivityStopped = span =>
            {
                if (span.TraceId == request.TraceId)
                    stopped.Add(span);
            },
        };
        ActivitySource.AddActivityListener(listener);
        request.IsAllDataRequested = true;
        var queue = new OutgoingQueue(1);

        Assert.True(queue.TryAdd(Command()));
        Assert.Empty(stopped);
        Assert.False(queue.TryAdd(Command()));

        Assert.Equal(ActivityStatusCode.Error, Assert.Single(stopped).Status);
        Assert.Same(request, Activity.Current);
        Assert.True(queue.Reader.TryRead(out var waiting));
        Assert.NotNull(waiting.Span);
        waiting.Span.Dispose();
    }

    private static Command Command() => new()
    {
        Id = Guid.CreateVersion7(),
        Kind = TransactionKind.Deposit,
        OwnerId = Guid.CreateVersion7(),
        PrincipalId = Guid.CreateVersion7(),
        Amount = new Money(1, "USD"),
        CreatedAt = DateTime.UtcNow,
    };
}
