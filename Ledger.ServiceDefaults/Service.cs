using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Ledger.ServiceDefaults;

/// <summary>An option or connection string that cannot be used; its message is one line that names it.</summary>
public sealed class ConfigurationException(string message) : Exception(message);

/// <summary>How every service starts and stops.</summary>
public static class Service
{
    /// <summary>
    /// Builds and runs a service; or, called as <c>health ADDRESS</c>, asks a running one. A bad option, or an address that is
    /// taken, ends it with exit code 1 and one line on standard error, in place of a stack trace.
    /// </summary>
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
            // Told to stop before it had started.
            return 0;
        }
        catch (Exception e) when (e is ConfigurationException or OptionsValidationException
            or InvalidOperationException { Source: "Microsoft.Extensions.Configuration.Binder" } or IOException { InnerException: AddressInUseException })
        {
            await Console.Error.WriteLineAsync($"Cannot start: {e.Message.ReplaceLineEndings(" ")}");
            return 1;
        }
    }

    /// <summary>What may stand right under <c>Ledger:</c>, whichever service reads it: all of them may be given the same environment.</summary>
    public static IReadOnlySet<string> Sections { get; } = new HashSet<string>(StringComparer.OrdinalIgnoreCase)
    {
        "Audit", "Gateway", "Http", "Identity", "Metrics", "RateLimit", "SelfServiceDeposits", "Telemetry", "Verification", "Worker",
    };

    /// <exception cref="ConfigurationException">There is a section that no service has.</exception>
    internal static void RefuseUnknownSections(IConfiguration configuration)
    {
        foreach (var section in configuration.GetSection("Ledger").GetChildren())
        {
            if (!Sections.Contains(section.Key))
                throw new ConfigurationException($"Ledger__{section.Key} is not an option.");
        }
    }

    /// <exception cref="ConfigurationException">What to listen on is not an address, or is HTTPS.</exception>
    internal static void RefuseBadAddresses(IConfiguration configuration)
    {
        foreach (var address in configuration[WebHostDefaults.ServerUrlsKey]?.Split(';', StringSplitOptions.RemoveEmptyEntries) ?? [])
        {
            if (!IsAddress(address))
                throw new ConfigurationException($"{VariableOf(WebHostDefaults.ServerUrlsKey)}: '{address}' is not an address such as http://localhost:8080.");
            RefuseHttps(WebHostDefaults.ServerUrlsKey, address.TrimStart().StartsWith("https:", StringComparison.OrdinalIgnoreCase));
        }
        foreach (var port in configuration[WebHostDefaults.HttpPortsKey]?.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [])
        {
            if (!ushort.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out _))
                throw new ConfigurationException($"{VariableOf(WebHostDefaults.HttpPortsKey)}: '{port}' is not a port from 0 to 65535.");
        }
        RefuseHttps(WebHostDefaults.HttpsPortsKey, !string.IsNullOrWhiteSpace(configuration[WebHostDefaults.HttpsPortsKey]));
    }

    // Told of such a port, the services would listen for HTTP alone, or end with a stack trace: they have no certificate.
    private static void RefuseHttps(string key, bool isAsked)
    {
        if (isAsked)
            throw new ConfigurationException($"{VariableOf(key)} asks for HTTPS, and this service speaks HTTP alone: TLS belongs to the ingress or proxy in front of it.");
    }

    // Kestrel takes what stands for a port and is no number for a part of the host's name, and listens everywhere on port 80.
    private static bool IsAddress(string text)
    {
        try
        {
            var address = BindingAddress.Parse(text);
            return address.IsUnixPipe || address.IsNamedPipe
                || (address.Port is >= 0 and <= ushort.MaxValue && (!address.Host.Contains(':', StringComparison.Ordinal) || IPAddress.TryParse(address.Host, out _)));
        }
        catch (FormatException)
        {
            return false;
        }
    }

    // The one without a prefix wins.
    private static string VariableOf(string key)
    {
        var name = key.ToUpperInvariant();
        return Environment.GetEnvironmentVariable(name) is null ? $"ASPNETCORE_{name}" : name;
    }

    /// <summary>
    /// Adds options from configuration section <c>Ledger:<paramref name="section"/></c> (in the environment:
    /// <c>Ledger__<paramref name="section"/>__…</c>), checked at start by their annotations. A name that is not an option
    /// is refused too: a slip of the pen would otherwise be a default in disguise.
    /// </summary>
    public static OptionsBuilder<TOptions> AddLedgerOptions<TOptions>(this IHostApplicationBuilder builder, string section) where TOptions : class =>
        builder.Services.AddOptions<TOptions>()
            .BindConfiguration($"Ledger:{section}", binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
}
