using System.Diagnostics;
using Ledger.Core;
using Ledger.Core.Messaging;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;

namespace Ledger.Worker.Posting;

/// <summary>
/// The spans of a batch. Each traced command gets its own, under the request that brought it, from taken to answered. What
/// the batch does once for all of them (statements, commit, replies, events) stands under the first and is linked to all.
/// </summary>
internal sealed class BatchTrace
{
    private readonly List<(Guid Command, Activity Span)> _commands;

    private BatchTrace(List<(Guid, Activity)> commands) => _commands = commands;

    /// <summary>Starts the spans of those commands whose requests are traced; null if none is.</summary>
    public static BatchTrace? Start(IReadOnlyList<Command> commands)
    {
        List<(Guid, Activity)>? traced = null;
        foreach (var command in commands)
        {
            if (command.TraceParent is null || !ActivityContext.TryParse(command.TraceParent, null, isRemote: true, out var request))
                continue;
            var span = LedgerTelemetry.Spans.StartActivity($"process {command.Kind.Name()}", ActivityKind.Consumer, request);
            // One of many: none of them is what goes on here now.
            Activity.Current = null;
            if (span is null)
                continue;
            span.SetTag("messaging.system", "rabbitmq").SetTag("messaging.destination.name", Topology.CommandQueue)
                .SetTag("ledger.transaction.id", command.Id);
            (traced ??= []).Add((command.Id, span));
        }
        return traced is null ? null : new BatchTrace(traced);
    }

    /// <summary>Starts a span for something that is done once for the whole batch.</summary>
    public Activity? StartStep(string name, int count, ActivityKind kind = ActivityKind.Internal) =>
        LedgerTelemetry.Spans.StartActivity(
                kind, _commands[0].Span.Context, links: _commands.Select(command => new ActivityLink(command.Span.Context)), name: name)
            ?.SetTag("ledger.batch.size", count);

    /// <summary>Ends the commands' spans with what became of them.</summary>
    public void End(IReadOnlyList<Answer> answers)
    {
        // The answers come in the order of the commands, of which one may stand twice: a dead letter that was moved back twice.
        var next = 0;
        foreach (var result in answers.Select(answer => answer.Result))
        {
            if (next == _commands.Count || _commands[next].Command != result.Command.Id)
                continue;
            var span = _commands[next++].Span;
            span.SetTag("ledger.outcome", result.Decision switch
            {
                _ when result.Failure is not null => "failed",
                null or { Kind: DecisionKind.AwaitsOperator } => "pending",
                { Kind: DecisionKind.Decided or DecisionKind.Known, Outcome: { } outcome } => outcome.Status.Name(),
                _ => "replayed",
            });
            if (result.Failure is not null)
                span.SetStatus(ActivityStatusCode.Error);
            span.Dispose();
        }
    }
}
