using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using OpenTelemetry;
using OpenTelemetry.Metrics;

namespace Ledger.ServiceDefaults;

/// <summary><c>/metrics</c> in the text format of Prometheus, on a separate port.</summary>
public static class Prometheus
{
    private const string Path = "/metrics";

    // Seconds: a commit takes milliseconds, a request waits up to a minute.
    private static readonly double[] s_durationBuckets =
        [0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

    private static readonly double[] s_batchBuckets = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

    /// <summary>Reserves the port of <see cref="MetricsOptions"/> for <c>/metrics</c>. First in the pipeline.</summary>
    public static void UseMetrics(this WebApplication app)
    {
        var port = app.Services.GetRequiredService<IOptions<MetricsOptions>>().Value.Port;
        if (port != 0)
            app.MapWhen(context => context.Connection.LocalPort == port, Serve(null));
    }

    /// <summary>Serves <c>/metrics</c> on 127.0.0.1, for a program without a web server. Disposing the result stops it.</summary>
    /// <param name="meter">The meter to export, in addition to those of the .NET runtime.</param>
    /// <param name="port">A free port.</param>
    /// <exception cref="ConfigurationException">The port is in use.</exception>
    public static async Task<IAsyncDisposable> StartServerAsync(string meter, int port)
    {
        // An empty builder leaves logging, configuration and signals to the program.
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port));
        // Disposed with the application.
        builder.Services.AddSingleton(Sdk.CreateMeterProviderBuilder().AddLedgerMeters(meter).AddPrometheus().Build());
        var app = builder.Build();
        Serve(app.Services.GetRequiredService<MeterProvider>())(app);
        try
        {
            await app.StartAsync();
            return app;
        }
        catch (IOException e)
        {
            await app.DisposeAsync();
            throw new ConfigurationException($"Cannot serve /metrics: {e.Message}");
        }
    }

    /// <summary>Adds meters, with the buckets and names that the rules and dashboards use.</summary>
    internal static MeterProviderBuilder AddLedgerMeters(this MeterProviderBuilder metrics, params string[] meters) => metrics
        .AddRuntimeInstrumentation()
        .AddMeter(meters)
        .AddView(instrument => instrument switch
        {
            // promtool rejects these names, and no dashboard uses them.
            { Meter.Name: "System.Runtime", Name: "dotnet.thread_pool.thread.count" or "dotnet.assembly.count" or "dotnet.process.cpu.count" or "dotnet.timer.count" } =>
                MetricStreamConfiguration.Drop,
            // OpenTelemetry's name ends in "count" like a histogram's series; promtool rejects that for a gauge.
            { Name: "db.client.connection.count" } => new MetricStreamConfiguration { Name = "db.client.connections" },
            { Name: "ledger.batch.size" } => new ExplicitBucketHistogramConfiguration { Boundaries = s_batchBuckets },
            { Unit: "s" } when instrument.GetType().Name.StartsWith("Histogram", StringComparison.Ordinal) =>
                new ExplicitBucketHistogramConfiguration { Boundaries = s_durationBuckets },
            _ => null,
        });

    internal static MeterProviderBuilder AddPrometheus(this MeterProviderBuilder metrics) => metrics.AddPrometheusExporter(exporter =>
    {
        // Each scrape reports the current values.
        exporter.ScrapeResponseCacheDurationMilliseconds = 0;
        // Prometheus adds job and instance itself. A label per meter and a series per process would only cost memory.
        exporter.ScopeInfoEnabled = false;
        exporter.TargetInfoEnabled = false;
    });

    internal static void ListenForPrometheus(this WebApplicationBuilder builder, MetricsOptions metrics)
    {
        // In addition to the service's own addresses: an endpoint set in code would replace them.
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

    private static Action<IApplicationBuilder> Serve(MeterProvider? meters) => app =>
    {
        app.Use((context, next) =>
        {
            // Prometheus prefers OpenMetrics, in which each counter and histogram has a series "_created" as well.
            context.Request.Headers.Accept = "text/plain";
            return next(context);
        });
        app.UseOpenTelemetryPrometheusScrapingEndpoint(meters, context => context.Request.Path == Path, path: null, configureBranchedPipeline: null, optionsName: null);
        app.Run(context =>
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return Task.CompletedTask;
        });
    };
}
