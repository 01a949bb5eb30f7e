using System.ComponentModel.DataAnnotations;

namespace Ledger.Worker.Posting;

/// <summary>Bounds of the worker: <c>Ledger__Worker__…</c>.</summary>
public sealed class WorkerOptions
{
    /// <summary>Messages (envelopes of commands) that the broker hands over before the first of them is acknowledged.</summary>
    [Range(1, 10_000)]
    public int Prefetch { get; set; } = 64;

    /// <summary>Commands in one batch and commit. A message is never split: a batch may exceed this by one message's commands.</summary>
    [Range(1, 10_000)]
    public int MaxBatch { get; set; } = 1_000;

    /// <summary>From this delivery on, a message is taken command by command: one of them may have brought the worker down.</summary>
    [Range(2, 100)]
    public int IsolateAtDelivery { get; set; } = 4;

    /// <summary>How often a command is tried alone, its worker not living to see the end, before it goes to the dead letters.</summary>
    [Range(1, 100)]
    public int AttemptsAlone { get; set; } = 5;

    /// <summary>Seconds that a batch waits for a locked account before it is taken in halves, so that it does not hold up the others.</summary>
    [Range(0.1, 600)]
    public double LockSeconds { get; set; } = 2;

    /// <summary>
    /// Hours that a command which was answered 202 and cannot be posted waits for an operator, before it ends as failed by itself.
    /// </summary>
    [Range(0, 720)]
    public double FailedHours { get; set; } = 24;

    /// <summary>Seconds between two looks for pending commands that the queue has never seen.</summary>
    [Range(0.05, 60)]
    public double RelaySeconds { get; set; } = 0.5;

    /// <summary>Seconds after which a command that was published and is still pending is published again; then twice as long, and so on.</summary>
    [Range(1, 3_600)]
    public int RelayAgainSeconds { get; set; } = 30;

    /// <summary>Commands that the relay takes at a time.</summary>
    [Range(1, 10_000)]
    public int RelayBatch { get; set; } = 256;

    /// <summary>Messages that may wait in the queue before the relay publishes nothing more.</summary>
    [Range(0, 1_000_000)]
    public int RelayQueueDepth { get; set; } = 100;
}
