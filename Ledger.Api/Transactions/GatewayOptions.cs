using System.ComponentModel.DataAnnotations;

namespace Ledger.Api.Transactions;

/// <summary>Bounds of the way from the API to the queue: <c>Ledger__Gateway__…</c>.</summary>
public sealed class GatewayOptions
{
    /// <summary>Commands that one message carries at most.</summary>
    [Range(1, 10_000)]
    public int MaxEnvelope { get; set; } = 256;

    /// <summary>Commands that may wait in this process to be published; beyond it requests get 503.</summary>
    [Range(1, 1_000_000)]
    public int QueueLength { get; set; } = 10_000;

    /// <summary>Seconds that a request waits for its command to be decided before it gets 202, unless it asks otherwise.</summary>
    [Range(1, 60)]
    public int WaitSeconds { get; set; } = 10;
}
