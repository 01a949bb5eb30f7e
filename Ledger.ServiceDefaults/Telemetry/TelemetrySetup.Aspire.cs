using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;

namespace Ledger.ServiceDefaults.Telemetry;

public static partial class TelemetrySetup
{
    private static void AddOpenTelemetry(this WebApplicationBuilder builder, PrometheusExporter? prometheus, bool hasEndpoint, TelemetryOptions options)
    {
        var environment = builder.Environment;
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => ConfigureResource(resource, environment))
            .WithMetrics(metrics => ConfigureMetrics(
                metrics.AddAspNetCoreInstrumentation().AddHttpClientInstrumentation().AddRuntimeInstrumentation(), prometheus));
        if (hasEndpoint)
        {
            builder.Logging.AddOpenTelemetry(logging =>
            {
                logging.IncludeScopes = true;
                logging.IncludeFormattedMessage = true;
            });
            telemetry
                .WithTracing(tracing => ConfigureTracing(tracing.AddAspNetCoreInstrumentation().AddHttpClientInstrumentation(), options))
                .UseOtlpExporter();
        }

        builder.Services.AddServiceDiscovery();
        builder.Services.ConfigureHttpClientDefaults(http =>
        {
            http.AddStandardResilienceHandler();
            http.AddServiceDiscovery();
        });
    }
}
