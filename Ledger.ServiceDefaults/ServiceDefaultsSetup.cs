using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Ledger.ServiceDefaults;

/// <summary>Setup that every service has in common.</summary>
public static class ServiceDefaultsSetup
{
    /// <summary>
    /// Seconds that a stopping service has to finish its work or hand it back. Closing connections takes one more second at most,
    /// so a host that sends SIGKILL six seconds after SIGTERM never has to.
    /// </summary>
    public const int ShutdownSeconds = 4;

    /// <summary>Checks the configuration and adds telemetry. First call of a service's setup.</summary>
    /// <exception cref="ConfigurationException">An option or address is bad.</exception>
    public static void AddServiceDefaults(this WebApplicationBuilder builder)
    {
        LedgerOptions.RefuseUnknownSections(builder.Configuration);
        ListenAddresses.RefuseBadAddresses(builder.Configuration);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(ShutdownSeconds));
        builder.AddTelemetry();
    }

    /// <summary>Adds <c>/metrics</c> and the request log. First in the pipeline.</summary>
    public static void UseServiceDefaults(this WebApplication app)
    {
        app.UseMetrics();
        app.UseRequestLog();
    }
}
