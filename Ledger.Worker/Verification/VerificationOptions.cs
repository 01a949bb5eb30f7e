using System.ComponentModel.DataAnnotations;

namespace Ledger.Worker.Verification;

/// <summary>Schedule of the verifier: <c>Ledger__Verification__…</c>.</summary>
public sealed class VerificationOptions
{
    /// <summary>Minutes between two runs of all workers together; 0 for none.</summary>
    [Range(0, 10_080)]
    public double IntervalMinutes { get; set; } = 15;

    /// <summary>Seconds that a command may be pending before the verifier reports it.</summary>
    [Range(1, 86_400)]
    public double MaxPendingSeconds { get; set; } = 300;
}
