using System.Globalization;
using Ledger.AppHost.Servers;

namespace Ledger.AppHost;

/// <summary>The project's own programs as resources.</summary>
internal static class Services
{
    /// <summary>The endpoint of <c>/metrics</c>.</summary>
    public const string Metrics = "metrics";

    /// <summary>
    /// Adds a program, started from what the build made. A `dotnet run` in between would cost 90 MB and two seconds for each
    /// process, and Aspire would know its process instead of the program's.
    /// </summary>
    public static IResourceBuilder<ProjectResource> AddProgram<TProject>(this IDistributedApplicationBuilder builder, string name, string assembly)
        where TProject : IProjectMetadata, new()
    {
        var project = builder.AddProject<TProject>(name);
        if (builder.ExecutionContext.IsPublishMode)
            return project;
        // Of the same configuration as this one: bin/Release/net10.0.
        var own = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
        var directory = Path.Combine(Path.GetDirectoryName(new TProject().ProjectPath)!, "bin", own.Parent!.Name, own.Name);
        return project
            .WithAnnotation(new ExecutableAnnotation { Command = "dotnet", WorkingDirectory = directory })
            .WithArgs(Path.Combine(directory, assembly));
    }

    /// <summary>
    /// On this machine: gives a service fixed ports for HTTP and <c>/metrics</c>, each process its own, and its environment.
    /// Without Aspire's proxy, which would take two thirds of the throughput and hide which process answers.
    /// </summary>
    public static IResourceBuilder<ProjectResource> OnThisMachine(this IResourceBuilder<ProjectResource> service, int port, RunOptions options, DataDirectory? data)
    {
        if (service.ApplicationBuilder.ExecutionContext.IsPublishMode)
            return service;
        service
            .WithEndpoint("http", endpoint =>
            {
                endpoint.Port = port;
                endpoint.IsProxied = false;
            })
            .WithHttpEndpoint(port: Ports.Free(), name: Metrics, env: "Ledger__Metrics__Port", isProxied: false)
            .WithEnvironment("Ledger__Metrics__Host", "localhost")
            .WithEnvironment("ASPNETCORE_ENVIRONMENT", options.Environment)
            .WithEnvironment("DOTNET_ENVIRONMENT", options.Environment);
        if (data is not null)
            service.WithEnvironment(Leftovers.Mark, data.Root);
        // Without a collector each service would wait for one at its end, until it is killed. The user's own one is inherited.
        return options.HasDashboard ? service : service.WithEnvironment(context => context.EnvironmentVariables.Remove("OTEL_EXPORTER_OTLP_ENDPOINT"));
    }

    /// <summary><c>api</c>, <c>api-2</c>, …</summary>
    public static string Numbered(string name, int index) => index == 0 ? name : string.Create(CultureInfo.InvariantCulture, $"{name}-{index + 1}");
}
