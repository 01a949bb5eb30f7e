using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Options;

namespace Ledger.ServiceDefaults;

/// <summary>The start and the end of a service's process.</summary>
public static class Service
{
    /// <summary>
    /// Builds and runs a service until it is told to stop. With the arguments <c>health ADDRESS</c>, probes a running service instead.
    /// </summary>
    /// <returns>
    /// The exit code: 0, or 1 after one line on standard error if an option is bad or an address is in use. Other exceptions pass.
    /// </returns>
    public static async Task<int> RunAsync(string[] args, Func<WebApplication> build)
    {
        if (args is ["health", var address])
            return await HealthProbe.RunAsync(address);
        var stopping = CancellationToken.None;
        try
        {
            await using var app = build();
            stopping = app.Lifetime.ApplicationStopping;
            await app.RunAsync();
            return 0;
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // SIGTERM arrived before the service had started.
            return 0;
        }
        catch (Exception e) when (e is ConfigurationException or OptionsValidationException
            or InvalidOperationException { Source: "Microsoft.Extensions.Configuration.Binder" } or IOException { InnerException: AddressInUseException })
        {
            await Console.Error.WriteLineAsync($"Cannot start: {e.Message.ReplaceLineEndings(" ")}");
            return 1;
        }
    }
}
