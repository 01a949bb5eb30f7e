using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Logs;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Ledger.ServiceDefaults.Telemetry;

public static partial class TelemetrySetup
{
    private static void AddOpenTelemetry(this WebApplicationBuilder builder, PrometheusExporter? prometheus, bool hasEndpoint, TelemetryOptions options)
    {
        var environment = builder.Environment;
        if (hasEndpoint)
        {
            builder.Logging.AddOpenTelemetry(logging =>
            {
                var resource = ResourceBuilder.CreateDefault();
                ConfigureResource(resource, environment);
                logging.SetResourceBuilder(resource);
                logging.IncludeScopes = true;
                logging.IncludeFormattedMessage = true;
                logging.AddOtlpExporter();
            });
        }
        // Made when the host is built, disposed with it: what is still to be exported leaves then.
        builder.Services.AddSingleton(_ => OpenTelemetrySdk.Create(telemetry =>
        {
            telemetry.ConfigureResource(resource => ConfigureResource(resource, environment));
            telemetry.WithMetrics(metrics => ConfigureMetrics(hasEndpoint ? metrics.AddOtlpExporter() : metrics, prometheus));
            if (hasEndpoint)
                telemetry.WithTracing(tracing => ConfigureTracing(tracing.AddOtlpExporter(), options));
        }));
        builder.Services.AddHostedService<TelemetryActivation>();
    }

    private sealed class TelemetryActivation(OpenTelemetrySdk telemetry) : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken)
        {
            GC.KeepAlive(telemetry);
            return Task.CompletedTask;
        }

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
