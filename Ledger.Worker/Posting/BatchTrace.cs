using System.Diagnostics;
using Ledger.Core;
using Ledger.Core.Messaging;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;

namespace Ledger.Worker.Posting;

/// <summary>
/// The spans of a batch. Each traced command has a span of its own under its request, from its delivery to its answer. The steps
/// of the whole batch (statements, commit, replies, events) are children of the first command's span and linked to all.
/// </summary>
internal sealed class BatchTrace
{
    private readonly List<(Guid Command, Activity Span)> _commands;

    private BatchTrace(List<(Guid, Activity)> commands) => _commands = commands;

    /// <summary>Starts the spans of the traced commands; null if no command is traced.</summary>
    public static BatchTrace? Start(IReadOnlyList<Command> commands)
    {
        List<(Guid, Activity)>? traced = null;
        foreach (var command in commands)
        {
            if (command.TraceParent is null || !ActivityContext.TryParse(command.TraceParent, null, isRemote: true, out var request))
                continue;
            var span = LedgerTelemetry.Spans.StartActivity($"process {command.Kind.Name()}", ActivityKind.Consumer, request);
            // The worker processes many commands at once, so that no command's span is the current one.
            Activity.Current = null;
            if (span is null)
                continue;
            span.SetTag("messaging.system", "rabbitmq").SetTag("messaging.destination.name", Topology.CommandQueue)
                .SetTag("ledger.transaction.id", command.Id);
            (traced ??= []).Add((command.Id, span));
        }
        return traced is null ? null : new BatchTrace(traced);
    }

    /// <summary>Starts the span of a step of the whole batch.</summary>
    public Activity? StartStep(string name, int count, ActivityKind kind = ActivityKind.Internal) =>
        LedgerTelemetry.Spans.StartActivity(
                kind, _commands[0].Span.Context, links: _commands.Select(command => new ActivityLink(command.Span.Context)), name: name)
            ?.SetTag("ledger.batch.size", count);

    /// <summary>Ends the commands' spans with their outcomes.</summary>
    public void End(IReadOnlyList<Answer> answers)
    {
        // The answers are in the order of the commands. A command occurs twice if its dead letter was moved back twice.
        var next = 0;
        foreach (var decision in answers.Select(answer => answer.Decision))
        {
            if (next == _commands.Count || _commands[next].Command != decision.Command.Id)
                continue;
            var span = _commands[next++].Span;
            span.SetTag("ledger.outcome", decision switch
            {
                { Failure: not null } => "failed",
                { Kind: DecisionKind.Undecided } => "pending",
                { Kind: DecisionKind.Decided or DecisionKind.Known, Outcome: { } outcome } => outcome.Status.Name(),
                _ => "replayed",
            });
            if (decision.Failure is not null)
                span.SetStatus(ActivityStatusCode.Error);
            span.Dispose();
        }
    }
}
