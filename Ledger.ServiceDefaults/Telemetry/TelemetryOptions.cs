using System.ComponentModel.DataAnnotations;

namespace Ledger.ServiceDefaults;

/// <summary>
/// Traces and logs: <c>Ledger__Telemetry__…</c>. The export by OTLP is configured by the environment variables of the OpenTelemetry
/// specification, such as <c>OTEL_EXPORTER_OTLP_ENDPOINT</c>.
/// </summary>
public sealed class TelemetryOptions
{
    /// <summary>New traces recorded per second at most; 0 records none. A caller's sampling decision takes precedence.</summary>
    [Range(0, 100_000)]
    public int TracesPerSecond { get; set; } = 20;

    /// <summary>Whether each request is logged; null enables it in Production only.</summary>
    public bool? LogRequests { get; set; }
}

/// <summary>The address of <c>/metrics</c>: <c>Ledger__Metrics__…</c>.</summary>
public sealed class MetricsOptions
{
    /// <summary>A separate port, so that clients of the API need not reach it; 0 disables it.</summary>
    [Range(0, 65_535)]
    public int Port { get; set; } = 9464;

    /// <summary>The host name or address to listen on; null selects <c>localhost</c> in Development and every address elsewhere.</summary>
    public string? Host { get; set; }
}
