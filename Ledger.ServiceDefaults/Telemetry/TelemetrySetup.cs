using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Ledger.ServiceDefaults;

/// <summary>Traces, metrics and logs by OpenTelemetry, exported by OTLP if an endpoint is set. Prometheus scrapes the metrics as well.</summary>
public static class TelemetrySetup
{
    /// <summary>Adds logging, metrics and, if <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> is set, traces and the export of all three.</summary>
    public static void AddTelemetry(this WebApplicationBuilder builder)
    {
        builder.AddLedgerOptions<TelemetryOptions>("Telemetry");
        builder.AddLedgerOptions<MetricsOptions>("Metrics");
        var options = builder.Configuration.ReadLedgerOptions<TelemetryOptions>("Telemetry");
        var metricsOptions = builder.Configuration.ReadLedgerOptions<MetricsOptions>("Metrics");

        builder.AddLogging(options);
        if (metricsOptions.Port != 0)
            builder.ListenForPrometheus(metricsOptions);

        RefuseBadEndpoints(builder.Configuration);
        var hasEndpoint = builder.Configuration.HasOtlpEndpoint();
        if (metricsOptions.Port == 0 && !hasEndpoint)
            return;

        var environment = builder.Environment;
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => ConfigureResource(resource, environment))
            .WithMetrics(metrics =>
            {
                metrics.AddAspNetCoreInstrumentation().AddLedgerMeters("Ledger", "Npgsql");
                if (metricsOptions.Port != 0)
                    metrics.AddPrometheus();
            });
        if (!hasEndpoint)
            return;

        builder.Logging.AddOpenTelemetry(logging =>
        {
            logging.IncludeScopes = true;
            logging.IncludeFormattedMessage = true;
        });
        telemetry
            .WithTracing(tracing => tracing
                .AddAspNetCoreInstrumentation(requests => requests.Filter = context => !IsProbeOrScrape(context, metricsOptions.Port))
                .AddSource("Ledger", "Npgsql")
                .SetSampler(new ParentBasedSampler(new RateSampler(options.TracesPerSecond, TimeProvider.System))))
            .UseOtlpExporter();
    }

    internal static bool HasOtlpEndpoint(this IConfiguration configuration) => !string.IsNullOrEmpty(configuration["OTEL_EXPORTER_OTLP_ENDPOINT"]);

    // Probes and scrapes arrive every few seconds and would make up most of the traces.
    private static bool IsProbeOrScrape(HttpContext context, int metricsPort) =>
        context.Connection.LocalPort == metricsPort || Health.IsProbe(context.Request.Path);

    // The SDK silently replaces a malformed address by localhost, and supports no other schemes.
    private static void RefuseBadEndpoints(ConfigurationManager configuration)
    {
        foreach (var signal in (string[])["", "TRACES_", "METRICS_", "LOGS_"])
        {
            var name = $"OTEL_EXPORTER_OTLP_{signal}ENDPOINT";
            if (configuration[name] is { Length: > 0 } value && !(Uri.TryCreate(value, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https"))
                throw new ConfigurationException($"{name} is not an address such as http://localhost:4317.");
        }
    }

    private static void ConfigureResource(ResourceBuilder resource, IHostEnvironment environment) =>
        resource
            .AddService(environment.ApplicationName, serviceNamespace: "ledger", serviceInstanceId: $"{Environment.MachineName}-{Environment.ProcessId}")
            .AddAttributes([new("deployment.environment.name", environment.EnvironmentName)])
            // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence.
            .AddEnvironmentVariableDetector();

    private static void AddLogging(this WebApplicationBuilder builder, TelemetryOptions options)
    {
        if (builder.Environment.IsProduction())
        {
            builder.Logging.AddJsonConsole(console =>
            {
                console.TimestampFormat = "O";
                console.UseUtcTimestamp = true;
                // The scopes hold the trace and span ids.
                console.IncludeScopes = true;
            });
        }
        else
        {
            builder.Logging.AddSimpleConsole(console => console.SingleLine = true);
        }
        builder.Logging
            .AddFilter("Microsoft.Hosting.Lifetime", LogLevel.Warning)
            // The keys are in PostgreSQL, whose administrators can read them: docs/security.md.
            .AddFilter("Microsoft.AspNetCore.DataProtection.KeyManagement.XmlKeyManager", LogLevel.Error);
        builder.Services.AddSingleton(new RequestLog.IsOn(options.LogRequests ?? builder.Environment.IsProduction()));
    }
}
