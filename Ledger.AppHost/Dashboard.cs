using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Ledger.AppHost;

/// <summary>The Aspire dashboard: on loopback, without a login.</summary>
internal static class Dashboard
{
    /// <summary>The builder of the model, with the dashboard that the options ask for. Works alike with and without a launch profile.</summary>
    public static IDistributedApplicationBuilder CreateBuilder(RunOptions options)
    {
        // WaitForResourceCleanup: otherwise the AppHost would end while what it started still runs.
        List<string> settings = ["DcpPublisher:WaitForResourceCleanup=true", .. options.AspireArguments];
        if (options.HasDashboard)
        {
            settings.Add($"ASPNETCORE_URLS={Loopback(Ports.Claim(options.DashboardPort, "the Aspire dashboard", "--dashboard-port"))}");
            settings.Add($"ASPIRE_DASHBOARD_OTLP_ENDPOINT_URL={Loopback(Ports.Free())}");
            settings.Add($"ASPIRE_RESOURCE_SERVICE_ENDPOINT_URL={Loopback(Ports.Free())}");
            settings.Add("ASPIRE_DASHBOARD_UNSECURED_ALLOW_ANONYMOUS=true");
            // The dashboard inherits these. Its telemetry API is not used, and banners about plain HTTP on loopback help no developer.
            Environment.SetEnvironmentVariable("DASHBOARD__OTLP__SUPPRESSUNSECUREDTELEMETRYMESSAGE", "true");
            Environment.SetEnvironmentVariable("DASHBOARD__API__ENABLED", "false");
            Environment.SetEnvironmentVariable("DASHBOARD__API__DISABLED", "true");
            settings.Add("ASPIRE_INTERACTIVITY_ENABLED=false");
        }
        var builder = DistributedApplication.CreateBuilder(new DistributedApplicationOptions
        {
            Args = [.. settings],
            DisableDashboard = !options.HasDashboard,
            AllowUnsecuredTransport = true,
            TrustDeveloperCertificate = false,
        });
        if (builder.ExecutionContext.IsRunMode)
            builder.Services.AddLogging(QuietAspire);
        return builder;
    }

    // The console shows the steps of a run and the services' logs. Of Aspire's own lines the remaining ones repeat the
    // steps or warn of plain HTTP on loopback.
    private static void QuietAspire(ILoggingBuilder logging) => logging
        .AddFilter(null, LogLevel.Warning)
        .AddFilter("Aspire.Hosting.Dcp", LogLevel.Error)
        .AddFilter("Aspire.Hosting.Dashboard", LogLevel.Error)
        .AddFilter("Aspire.Hosting.DistributedApplication", LogLevel.Error)
        .AddFilter("Microsoft.AspNetCore.DataProtection", LogLevel.Error)
        .AddFilter("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.None);

    private static string Loopback(int port) => string.Create(CultureInfo.InvariantCulture, $"http://localhost:{port}");
}
