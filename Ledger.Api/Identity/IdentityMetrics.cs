using System.Diagnostics.Metrics;
using Ledger.Core;

namespace Ledger.Api.Identity;

/// <summary>Who comes, and who fails to.</summary>
internal static class IdentityMetrics
{
    public static readonly Counter<long> Registrations = LedgerTelemetry.Meter.CreateCounter<long>(
        "auth.registrations", "{user}", "Users that registered.");

    private static readonly Counter<long> Logins = LedgerTelemetry.Meter.CreateCounter<long>(
        "auth.logins", "{login}", "Attempts to log in, by status: succeeded, failed, locked_out or frozen.");

    public static void StartAtZero()
    {
        Registrations.Add(0);
        foreach (var status in (string[])["succeeded", "failed", "locked_out", "frozen"])
            Logins.Add(0, new KeyValuePair<string, object?>("status", status));
    }

    public static void CountLogin(string status) => Logins.Add(1, new KeyValuePair<string, object?>("status", status));
}
