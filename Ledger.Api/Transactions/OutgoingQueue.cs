using System.Diagnostics;
using System.Threading.Channels;
using Ledger.Core;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;

namespace Ledger.Api.Transactions;

/// <summary>The commands that wait in this process to be sent.</summary>
/// <param name="length">The largest number of them.</param>
internal sealed class OutgoingQueue(int length)
{
    private readonly Channel<Outgoing> _channel = Channel.CreateBounded<Outgoing>(new BoundedChannelOptions(length) { SingleReader = true });

    /// <summary>For the one sender.</summary>
    public ChannelReader<Outgoing> Reader => _channel.Reader;

    /// <summary>Whether the queue has room for one more command.</summary>
    public bool HasRoom => _channel.Reader.Count < length;

    /// <summary>Adds a command and starts its send span. Returns false, and ends the span, if the queue is full.</summary>
    public bool TryAdd(Command command)
    {
        var outgoing = Outgoing.Of(command);
        if (_channel.Writer.TryWrite(outgoing))
            return true;
        outgoing.Span?.SetStatus(ActivityStatusCode.Error).Dispose();
        return false;
    }
}

/// <summary>A command on its way to RabbitMQ, with its send span if the request is traced.</summary>
internal readonly record struct Outgoing(Command Command, Activity? Span)
{
    public static Outgoing Of(Command command)
    {
        if (Activity.Current is not { Recorded: true } request)
            return new Outgoing(command, null);

        var span = LedgerTelemetry.Spans.StartActivity("send ledger.commands", ActivityKind.Producer);
        // The span ends at the confirm, in another flow; the request keeps its own span as the current one.
        Activity.Current = request;
        span?.SetTag("messaging.system", "rabbitmq").SetTag("messaging.destination.name", Topology.CommandQueue)
            .SetTag("ledger.transaction.id", command.Id);
        return new Outgoing(span is null ? command : command with { TraceParent = span.Id }, span);
    }
}
