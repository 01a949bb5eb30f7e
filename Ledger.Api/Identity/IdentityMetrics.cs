using System.Diagnostics.Metrics;
using Ledger.Core;

namespace Ledger.Api.Identity;

/// <summary>Counts of registrations and logins.</summary>
internal static class IdentityMetrics
{
    private static readonly string[] s_statuses = ["succeeded", "failed", "locked_out", "frozen"];
    private static readonly long[] s_logins = new long[s_statuses.Length];
    private static long s_registrations;

    /// <summary>Observed, so that each series exists at zero: Prometheus sees no increase in one that begins at 1.</summary>
    public static void Register()
    {
        LedgerTelemetry.Meter.CreateObservableCounter(
            "auth.registrations", () => Interlocked.Read(ref s_registrations), "{user}", "Users that registered.");
        LedgerTelemetry.Meter.CreateObservableCounter(
            "auth.logins", ObserveLogins, "{login}", "Attempts to log in, by status: succeeded, failed, locked_out or frozen.");
    }

    public static void CountRegistration() => Interlocked.Increment(ref s_registrations);

    public static void CountLogin(string status) => Interlocked.Increment(ref s_logins[Array.IndexOf(s_statuses, status)]);

    private static IEnumerable<Measurement<long>> ObserveLogins()
    {
        for (var i = 0; i < s_statuses.Length; i++)
            yield return new Measurement<long>(Interlocked.Read(ref s_logins[i]), new KeyValuePair<string, object?>("status", s_statuses[i]));
    }
}
