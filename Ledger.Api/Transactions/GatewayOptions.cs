using System.ComponentModel.DataAnnotations;

namespace Ledger.Api.Transactions;

/// <summary>Bounds of the way from the API to RabbitMQ: <c>Ledger__Gateway__…</c>.</summary>
public sealed class GatewayOptions
{
    /// <summary>The largest number of commands in one message.</summary>
    [Range(1, 10_000)]
    public int MaxEnvelope { get; set; } = 256;

    /// <summary>The largest number of commands that wait in this process to be sent; further requests get 503.</summary>
    [Range(1, 1_000_000)]
    public int QueueLength { get; set; } = 10_000;

    /// <summary>Seconds that a request waits for the decision before it gets 202, unless its <c>Prefer</c> header says otherwise.</summary>
    [Range(1, 60)]
    public int WaitSeconds { get; set; } = 10;
}
