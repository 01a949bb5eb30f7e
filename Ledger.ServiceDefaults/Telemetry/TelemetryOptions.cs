using System.ComponentModel.DataAnnotations;

namespace Ledger.ServiceDefaults.Telemetry;

/// <summary>
/// What is traced and logged: <c>Ledger__Telemetry__…</c>. Traces, metrics and logs go to <c>OTEL_EXPORTER_OTLP_ENDPOINT</c>
/// if it is set, by the variables of the OpenTelemetry specification.
/// </summary>
public sealed class TelemetryOptions
{
    /// <summary>Requests that start a recorded trace, at most, in a second; a caller's own decision to sample is kept. 0 records none.</summary>
    [Range(0, 100_000)]
    public int TracesPerSecond { get; set; } = 20;

    /// <summary>Whether each request leaves a line in the log; if not set, in Production.</summary>
    public bool? LogRequests { get; set; }
}

/// <summary>Where Prometheus finds <c>/metrics</c>: <c>Ledger__Metrics__…</c>.</summary>
public sealed class MetricsOptions
{
    /// <summary>A port of its own, so that it need not be reachable from where the API is; 0 for none.</summary>
    [Range(0, 65_535)]
    public int Port { get; set; } = 9464;

    /// <summary>The host name or address to listen on; if not set, <c>localhost</c> in Development and every address elsewhere.</summary>
    public string? Host { get; set; }
}
