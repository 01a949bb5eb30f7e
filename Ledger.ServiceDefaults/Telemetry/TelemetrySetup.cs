using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Ledger.ServiceDefaults.Telemetry;

/// <summary>Traces, metrics and logs: to an OTLP endpoint if there is one, metrics to Prometheus besides.</summary>
public static partial class TelemetrySetup
{
    private static readonly string[] Sources = ["Ledger", "Microsoft.AspNetCore", "System.Net.Http", "Npgsql"];

    private static readonly string[] Meters =
    [
        "Ledger", "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel",
        "System.Net.Http", "System.Runtime", "Npgsql",
    ];

    // Seconds; a commit takes milliseconds, a wait up to a minute.
    private static readonly double[] DurationBuckets =
        [0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

    private static readonly double[] BatchBuckets = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

    public static void AddTelemetry(this WebApplicationBuilder builder)
    {
        builder.AddLedgerOptions<TelemetryOptions>("Telemetry");
        builder.AddLedgerOptions<MetricsOptions>("Metrics");
        var options = builder.Configuration.GetSection("Ledger:Telemetry").Get<TelemetryOptions>() ?? new();
        var metrics = builder.Configuration.GetSection("Ledger:Metrics").Get<MetricsOptions>() ?? new();

        builder.AddLogging(options);
        var prometheus = metrics.Port == 0 ? null : new PrometheusExporter();
        if (prometheus is not null)
        {
            builder.Services.AddSingleton(prometheus);
            builder.ListenForPrometheus(metrics);
        }

        RefuseBadEndpoints(builder.Configuration);
        var hasEndpoint = builder.Configuration.HasOtlpEndpoint();
        if (prometheus is not null || hasEndpoint)
            builder.AddOpenTelemetry(prometheus, hasEndpoint, options);
    }

    /// <summary>Keeps Prometheus' port for <c>/metrics</c> alone, and <c>/metrics</c> for that port. Before everything else.</summary>
    public static void UseMetrics(this WebApplication app)
    {
        if (app.Services.GetService<PrometheusExporter>() is not { } exporter)
            return;

        var port = app.Services.GetRequiredService<Microsoft.Extensions.Options.IOptions<MetricsOptions>>().Value.Port;
        app.Use(next => context =>
        {
            if (context.Connection.LocalPort != port)
                return next(context);
            context.Untrace();
            if (context.Request.Path == "/metrics")
                return exporter.WriteAsync(context);
            context.Response.StatusCode = 404;
            return Task.CompletedTask;
        });
    }

    internal static bool HasOtlpEndpoint(this IConfiguration configuration) => !string.IsNullOrEmpty(configuration["OTEL_EXPORTER_OTLP_ENDPOINT"]);

    // The SDK takes its default, localhost, for what it cannot read, and has no transport for another scheme: neither says so.
    private static void RefuseBadEndpoints(ConfigurationManager configuration)
    {
        foreach (var signal in (string[])["", "TRACES_", "METRICS_", "LOGS_"])
        {
            var name = $"OTEL_EXPORTER_OTLP_{signal}ENDPOINT";
            if (configuration[name] is { Length: > 0 } value && !(Uri.TryCreate(value, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https"))
                throw new ConfigurationException($"{name} is not an address such as http://localhost:4317.");
        }
    }

    private static void ConfigureTracing(TracerProviderBuilder tracing, TelemetryOptions options) =>
        tracing.AddSource(Sources).SetSampler(new ParentBasedSampler(new RateSampler(options.TracesPerSecond, TimeProvider.System)));

    private static void ConfigureMetrics(MeterProviderBuilder metrics, PrometheusExporter? prometheus) => ConfigureMetrics(metrics, prometheus, Meters);

    internal static void ConfigureMetrics(MeterProviderBuilder metrics, PrometheusExporter? prometheus, string[] meters)
    {
        metrics.AddMeter(meters).AddView(instrument => instrument switch
        {
            // No name for it that Prometheus' own check accepts, and nobody's question.
            { Meter.Name: "System.Runtime", Name: "dotnet.thread_pool.thread.count" or "dotnet.assembly.count" or "dotnet.process.cpu.count" or "dotnet.timer.count" } =>
                MetricStreamConfiguration.Drop,
            // The name by OpenTelemetry's conventions ends like a histogram's series, which that check refuses.
            { Name: "db.client.connection.count" } => new MetricStreamConfiguration { Name = "db.client.connections" },
            { Name: "ledger.batch.size" } => new ExplicitBucketHistogramConfiguration { Boundaries = BatchBuckets },
            { Unit: "s" } when instrument.GetType().Name.StartsWith("Histogram", StringComparison.Ordinal) =>
                new ExplicitBucketHistogramConfiguration { Boundaries = DurationBuckets },
            _ => null,
        });
        if (prometheus is not null)
            metrics.AddReader(new BaseExportingMetricReader(prometheus));
    }

    private static void ConfigureResource(ResourceBuilder resource, IHostEnvironment environment) =>
        resource
            .AddService(environment.ApplicationName, serviceNamespace: "ledger", serviceInstanceId: $"{Environment.MachineName}-{Environment.ProcessId}")
            .AddAttributes([new("deployment.environment.name", environment.EnvironmentName)])
            // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
            .AddEnvironmentVariableDetector();

    private static void AddLogging(this WebApplicationBuilder builder, TelemetryOptions options)
    {
        if (builder.Environment.IsProduction())
        {
            builder.Logging.AddJsonConsole(console =>
            {
                console.TimestampFormat = "O";
                console.UseUtcTimestamp = true;
                // Trace and span id are scopes.
                console.IncludeScopes = true;
            });
        }
        else
        {
            builder.Logging.AddSimpleConsole(console => console.SingleLine = true);
        }
        builder.Services.AddSingleton(new RequestLog.IsOn(options.LogRequests ?? builder.Environment.IsProduction()));
    }

    private static void ListenForPrometheus(this WebApplicationBuilder builder, MetricsOptions metrics)
    {
        // Beside what the process listens on for its own sake: an endpoint in code would replace that.
        var urls = builder.Configuration[WebHostDefaults.ServerUrlsKey];
        if (string.IsNullOrEmpty(urls))
        {
            var ports = builder.Configuration[WebHostDefaults.HttpPortsKey];
            urls = string.IsNullOrEmpty(ports)
                ? "http://localhost:5000"
                : string.Join(';', ports.Split(';', StringSplitOptions.RemoveEmptyEntries).Select(port => $"http://*:{port}"));
        }
        var host = metrics.Host ?? (builder.Environment.IsDevelopment() ? "localhost" : "*");
        builder.WebHost.UseUrls([.. urls.Split(';', StringSplitOptions.RemoveEmptyEntries), $"http://{host}:{metrics.Port}"]);
    }
}
