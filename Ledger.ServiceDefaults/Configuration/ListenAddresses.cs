using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;

namespace Ledger.ServiceDefaults;

/// <summary>Checks of the addresses that a service listens on: <c>ASPNETCORE_URLS</c> and <c>ASPNETCORE_HTTP_PORTS</c>.</summary>
internal static class ListenAddresses
{
    /// <exception cref="ConfigurationException">An address or port is malformed, or asks for HTTPS.</exception>
    public static void RefuseBadAddresses(IConfiguration configuration)
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

    // Without a certificate Kestrel would ignore the HTTPS port, or end the process with a stack trace.
    private static void RefuseHttps(string key, bool isRequested)
    {
        if (isRequested)
            throw new ConfigurationException($"{VariableOf(key)} asks for HTTPS, but this service speaks HTTP only: TLS belongs to the ingress or proxy in front of it.");
    }

    // Kestrel reads a port that is not a number as part of the host name, and listens on port 80 of every address.
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

    // The variable without the prefix takes precedence.
    private static string VariableOf(string key)
    {
        var name = key.ToUpperInvariant();
        return Environment.GetEnvironmentVariable(name) is null ? $"ASPNETCORE_{name}" : name;
    }
}
