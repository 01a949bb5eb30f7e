using System.ComponentModel.DataAnnotations;

namespace Ledger.Worker.Retention;

/// <summary>How long the audit trail is: <c>Ledger__Audit__…</c>.</summary>
public sealed class AuditOptions
{
    /// <summary>Days after which a sign-in is removed from the audit trail. What administrators did stays for ever.</summary>
    /// <remarks>The database itself removes nothing before its 90th day.</remarks>
    [Range(90, 36_500)]
    public int SignInDays { get; set; } = 400;

    /// <summary>Minutes between two looks for sign-ins that are that old; 0 for none.</summary>
    [Range(0, 10_080)]
    public double IntervalMinutes { get; set; } = 60;

    /// <summary>Sign-ins that one commit removes at most.</summary>
    [Range(1, 100_000)]
    public int RemoveAtOnce { get; set; } = 1_000;
}
