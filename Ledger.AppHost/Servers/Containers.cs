using Ledger.ServiceDefaults;

namespace Ledger.AppHost.Servers;

/// <summary>PostgreSQL and RabbitMQ as containers: on a machine with a container engine, and in every published manifest.</summary>
internal static class Containers
{
    /// <summary>Adds both servers; their data is in volumes, unless it is ephemeral.</summary>
    public static (IResourceBuilder<IResourceWithConnectionString> Database, IResourceBuilder<IResourceWithConnectionString> Messaging) AddContainers(
        this IDistributedApplicationBuilder builder,
        IResourceBuilder<ParameterResource> postgresPassword,
        IResourceBuilder<ParameterResource> messagingPassword,
        RunOptions options)
    {
        // The image is pinned: from 18 on, PostgreSQL keeps its data in another directory.
        var postgres = builder.AddPostgres(ResourceNames.Postgres, password: postgresPassword).WithImageTag("17.6");
        var database = postgres.AddDatabase(ResourceNames.Database);

        var messaging = builder.AddRabbitMQ(ResourceNames.Messaging, password: messagingPassword)
            .WithImageTag("4.3-management")
            .WithManagementPlugin();

        if (!options.IsEphemeral)
        {
            postgres.WithDataVolume("ledger-postgres");
            messaging.WithDataVolume("ledger-messaging");
        }
        if (builder.ExecutionContext.IsRunMode)
        {
            postgres.WithHostPort(Ports.Claim(options.PostgresPort, "PostgreSQL", "--postgres-port"));
            messaging
                .WithEndpoint("tcp", endpoint => endpoint.Port = Ports.Claim(options.RabbitMqPort, "RabbitMQ", "--rabbitmq-port"))
                .WithEndpoint("management", endpoint => endpoint.Port = Ports.Claim(options.ManagementPort, "RabbitMQ's management page", "--management-port"));
        }
        return (database, messaging);
    }
}
