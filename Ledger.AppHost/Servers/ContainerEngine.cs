using Microsoft.Extensions.Configuration;

namespace Ledger.AppHost.Servers;

internal static class ContainerEngine
{
    /// <summary>Whether the container engine that Aspire would use answers. A client without its daemon does not.</summary>
    public static bool Answers(IConfiguration configuration)
    {
        string[] engines = (configuration["ASPIRE_CONTAINER_RUNTIME"] ?? configuration["DOTNET_ASPIRE_CONTAINER_RUNTIME"]) is { Length: > 0 } chosen
            ? [chosen]
            : ["docker", "podman"];
        return engines.Any(engine => Shell.Run(engine, "info") == 0);
    }
}
