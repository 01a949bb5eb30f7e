using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Ledger.Core;

/// <summary>Where the ledger's own spans and measurements come from. Names and units by OpenTelemetry's conventions.</summary>
public static class LedgerTelemetry
{
    /// <summary>The name of both sources.</summary>
    public const string Name = "Ledger";

    public static ActivitySource Spans { get; } = new(Name);

    public static Meter Meter { get; } = new(Name);
}
