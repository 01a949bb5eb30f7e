using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Ledger.ServiceDefaults;

/// <summary>Setup that every service has in common.</summary>
public static partial class ServiceDefaultsSetup
{
    /// <summary>
    /// Seconds that a stopping service has to finish its work or hand it back. Closing connections takes one more second at most,
    /// so a host that sends SIGKILL six seconds after SIGTERM never has to.
    /// </summary>
    public const int ShutdownSeconds = 4;

    /// <summary>Checks the configuration, and adds the clock and telemetry. First call of a service's setup.</summary>
    /// <exception cref="ConfigurationException">An option or address is bad.</exception>
    public static void AddServiceDefaults(this WebApplicationBuilder builder)
    {
        LedgerOptions.RefuseUnknownSections(builder.Configuration);
        ListenAddresses.RefuseBadAddresses(builder.Configuration);
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(ShutdownSeconds));
        builder.AddTelemetry();
    }

    /// <summary>Adds <c>/metrics</c> and the request log. First in the pipeline.</summary>
    public static void UseServiceDefaults(this WebApplication app)
    {
        // One line that names the service, in place of the framework's "Now listening on" for each address.
        app.Lifetime.ApplicationStarted.Register(() => LogStarted(app.Logger, app.Environment.ApplicationName, app.Environment.EnvironmentName, string.Join(", ", app.Urls)));
        app.UseMetrics();
        app.UseRequestLog();
    }

    [LoggerMessage(LogLevel.Information, "{Service} ({Environment}) listens on {Addresses}")]
    private static partial void LogStarted(ILogger logger, string service, string environment, string addresses);
}
