using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Ledger.Core;

/// <summary>The ledger's sources of spans and metrics. Names and units follow OpenTelemetry's conventions.</summary>
public static class LedgerTelemetry
{
    /// <summary>The name of both sources.</summary>
    public const string Name = "Ledger";

    public static ActivitySource Spans { get; } = new(Name);

    public static Meter Meter { get; } = new(Name);
}
