using Ledger.ServiceDefaults.Telemetry;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Ledger.ServiceDefaults;

/// <summary>What every service has.</summary>
public static class ServiceDefaultsSetup
{
    /// <summary>
    /// Seconds from the request to stop in which what is under way is finished or given back. Closing what is left takes one
    /// more at most: hosts that kill after six see none of them killed.
    /// </summary>
    public const int ShutdownSeconds = 4;

    public static void AddServiceDefaults(this WebApplicationBuilder builder)
    {
        Service.RefuseUnknownSections(builder.Configuration);
        Service.RefuseBadAddresses(builder.Configuration);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(ShutdownSeconds));
        builder.AddTelemetry();
    }

    /// <summary>First in the pipeline.</summary>
    public static void UseServiceDefaults(this WebApplication app)
    {
        app.UseMetrics();
        app.UseRequestLog();
    }
}
