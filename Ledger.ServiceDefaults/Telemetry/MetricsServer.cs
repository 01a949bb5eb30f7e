using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using OpenTelemetry;
using OpenTelemetry.Metrics;

namespace Ledger.ServiceDefaults.Telemetry;

/// <summary><c>/metrics</c> of a program that serves nothing else, on loopback, for as long as it runs.</summary>
public sealed class MetricsServer : IAsyncDisposable
{
    private readonly MeterProvider _meters;
    private readonly WebApplication _app;

    private MetricsServer(MeterProvider meters, WebApplication app) => (_meters, _app) = (meters, app);

    /// <summary>Measures <paramref name="meter"/> and the process itself, and serves that on port <paramref name="port"/> of 127.0.0.1.</summary>
    /// <exception cref="ConfigurationException">The port is in use.</exception>
    public static async Task<MetricsServer> StartAsync(string meter, int port)
    {
        var exporter = new PrometheusExporter();
        var meters = Sdk.CreateMeterProviderBuilder();
        TelemetrySetup.ConfigureMetrics(meters, exporter, [meter, "System.Runtime"]);

        // Without logs, configuration and signals: those are the program's own.
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port));
        var server = new MetricsServer(meters.Build(), builder.Build());
        server._app.Run(context =>
        {
            if (context.Request.Path == "/metrics")
                return exporter.WriteAsync(context);
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return Task.CompletedTask;
        });
        try
        {
            await server._app.StartAsync();
            return server;
        }
        catch (IOException e)
        {
            await server.DisposeAsync();
            throw new ConfigurationException($"Metrics cannot be served: {e.Message}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _meters.Dispose();
    }
}
