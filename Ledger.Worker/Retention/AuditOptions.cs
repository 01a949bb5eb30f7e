using System.ComponentModel.DataAnnotations;

namespace Ledger.Worker.Retention;

/// <summary>Retention of the audit trail: <c>Ledger__Audit__…</c>.</summary>
public sealed class AuditOptions
{
    /// <summary>Days after which a sign-in is removed from the audit trail. Administrative acts stay for ever.</summary>
    /// <remarks>The database refuses to remove sign-ins of the last 90 days.</remarks>
    [Range(90, 36_500)]
    public int SignInDays { get; set; } = 400;

    /// <summary>Minutes between two removals; 0 for none.</summary>
    [Range(0, 10_080)]
    public double IntervalMinutes { get; set; } = 60;

    /// <summary>The largest number of sign-ins that one commit removes.</summary>
    [Range(1, 100_000)]
    public int RemoveAtOnce { get; set; } = 1_000;
}
