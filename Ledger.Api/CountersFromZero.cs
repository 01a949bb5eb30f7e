using Ledger.Api.Identity;
using Ledger.Api.Transactions;

namespace Ledger.Api;

/// <summary>
/// Counters whose labels are known beforehand are there from the start, at zero: Prometheus sees no increase in a series that
/// begins at one.
/// </summary>
internal static class CountersFromZero
{
    // Not before: what is counted while nobody measures yet is lost, a zero too.
    public static void StartCountersAtZero(this WebApplication app) => app.Lifetime.ApplicationStarted.Register(() =>
    {
        IdentityMetrics.StartAtZero();
        CommandMetrics.StartAtZero();
    });
}
