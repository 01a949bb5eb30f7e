using System.ComponentModel.DataAnnotations;

namespace Ledger.Worker.Posting;

/// <summary>Bounds of the worker: <c>Ledger__Worker__…</c>.</summary>
public sealed class WorkerOptions
{
    /// <summary>Messages (envelopes of commands) that RabbitMQ delivers before the first of them is acknowledged.</summary>
    [Range(1, 10_000)]
    public int Prefetch { get; set; } = 64;

    /// <summary>Commands in one batch and commit. A message is never split: a batch may exceed this by one message's commands.</summary>
    [Range(1, 10_000)]
    public int MaxBatch { get; set; } = 1_000;

    /// <summary>From this delivery on, the commands of a message are posted one by one: one of them may have brought the worker down.</summary>
    [Range(2, 100)]
    public int IsolateAtDelivery { get; set; } = 4;

    /// <summary>Attempts to post a command alone that no worker survived, before the command goes to the dead letters.</summary>
    [Range(1, 100)]
    public int AttemptsAlone { get; set; } = 5;

    /// <summary>Seconds that a batch waits for a locked account before it is halved, so that one locked account does not delay the others.</summary>
    [Range(0.1, 600)]
    public double LockSeconds { get; set; } = 2;

    /// <summary>
    /// Hours that a command waits for an operator if it was answered 202 and cannot be posted. Then it ends as failed.
    /// </summary>
    [Range(0, 720)]
    public double FailedHours { get; set; } = 24;

    /// <summary>Seconds between two searches for pending commands that the queue has not received.</summary>
    [Range(0.05, 60)]
    public double RelaySeconds { get; set; } = 0.5;

    /// <summary>Seconds after which a command that was published and is still pending is published again; then twice as long, and so on.</summary>
    [Range(1, 3_600)]
    public int RelayAgainSeconds { get; set; } = 30;

    /// <summary>Commands that the relay publishes at a time.</summary>
    [Range(1, 10_000)]
    public int RelayBatch { get; set; } = 256;

    /// <summary>Messages in the queue above which the relay publishes nothing.</summary>
    [Range(0, 1_000_000)]
    public int RelayQueueDepth { get; set; } = 100;
}
