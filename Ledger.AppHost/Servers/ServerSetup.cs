using Microsoft.Extensions.DependencyInjection;

namespace Ledger.AppHost.Servers;

/// <summary>What PostgreSQL and RabbitMQ need, however they are started.</summary>
internal static class ServerSetup
{
    /// <summary>Opens the data directory of native servers until the AppHost has stopped.</summary>
    /// <exception cref="DistributedApplicationException">It cannot be used.</exception>
    public static DataDirectory OpenDataDirectory(this IDistributedApplicationBuilder builder, RunOptions options)
    {
        var data = DataDirectory.Open(options, Path.GetFullPath(Path.Combine(builder.AppHostDirectory, "..")));
        // Created by a factory, so that it is disposed with the application: after the processes have ended.
        builder.Services.AddSingleton(_ => data);
        builder.Eventing.Subscribe<BeforeStartEvent>((start, _) =>
        {
            start.Services.GetRequiredService<DataDirectory>();
            return Task.CompletedTask;
        });
        return data;
    }

    /// <summary>Adds a password: one that is kept with the data, or else one that Aspire generates and keeps in user secrets.</summary>
    public static IResourceBuilder<ParameterResource> AddPassword(this IDistributedApplicationBuilder builder, string name, string? kept) => kept is null
        ? builder.AddParameter(name, new GenerateParameterDefault { MinLength = 32, Special = false }, secret: true, persist: true)
        : builder.AddParameter(name, kept, secret: true);
}
