using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Npgsql;
using RabbitMQ.Client;

namespace Ledger.AppHost.Servers;

/// <summary>PostgreSQL and RabbitMQ as programs of this machine, on loopback, over a data directory of their own.</summary>
internal static class LocalServers
{
    /// <summary>The folder of PostgreSQL's cluster in the data directory.</summary>
    public const string ClusterName = "postgres";

    /// <summary>Adds the server <paramref name="name"/> and returns its database as a resource with a connection string.</summary>
    public static IResourceBuilder<IResourceWithConnectionString> AddLocalPostgres(
        this IDistributedApplicationBuilder builder, string name, string database, int port, IResourceBuilder<ParameterResource> password, DataDirectory data)
    {
        var address = ReferenceExpression.Create($"Host=127.0.0.1;Port={Text(port)};Username=postgres;Password={password.Resource}");
        var server = builder.AddLocalServer(name, "postgres.sh", address, data)
            .WithIconName("DatabaseMultiple")
            .WithLocalEndpoint("tcp", port)
            .WithEnvironment("POSTGRES_PASSWORD", password)
            .WithArgs(data.In(ClusterName), Text(port), database)
            .WithConnectionCheck(async (connectionString, token) =>
            {
                await using var connection = new NpgsqlConnection($"{connectionString};Database=postgres;Pooling=false");
                await connection.OpenAsync(token);
            });
        // Not a child of the server: Aspire passes on a parent's state for containers alone.
        return builder.AddConnectionString(database, ReferenceExpression.Create($"{address};Database={database}")).WithIconName("Database").WaitFor(server);
    }

    /// <summary>Adds RabbitMQ with its management page and a port mapper (epmd) of its own.</summary>
    public static IResourceBuilder<IResourceWithConnectionString> AddLocalRabbitMQ(
        this IDistributedApplicationBuilder builder, string name, int port, int managementPort, IResourceBuilder<ParameterResource> password, DataDirectory data) =>
        builder.AddLocalServer(name, "rabbitmq.sh", ReferenceExpression.Create($"amqp://{RabbitMqUser}:{password.Resource}@127.0.0.1:{Text(port)}"), data)
            .WithIconName("MailMultiple")
            .WithLocalEndpoint("tcp", port)
            .WithLocalEndpoint("management", managementPort, "http")
            .WithEnvironment("RABBITMQ_PASSWORD", password)
            .WithArgs(data.In("rabbitmq"), Text(port), Text(managementPort), Text(Ports.Free()), Text(Ports.Free()))
            .WithConnectionCheck(async (connectionString, token) =>
            {
                await using var connection = await new ConnectionFactory { Uri = new Uri(connectionString) }.CreateConnectionAsync("ledger-apphost", token);
            });

    /// <summary>The user of <see cref="AddLocalRabbitMQ"/>, also of its management page.</summary>
    public const string RabbitMqUser = "ledger";

    private static IResourceBuilder<LocalServer> AddLocalServer(
        this IDistributedApplicationBuilder builder, string name, string script, ReferenceExpression connectionString, DataDirectory data)
    {
        var path = Path.Combine(builder.AppHostDirectory, "Servers", script);
        return builder.AddResource(new LocalServer(name, path, connectionString)).WithArgs(path).WithEnvironment(Leftovers.Mark, data.Root).ExcludeFromManifest();
    }

    private static IResourceBuilder<LocalServer> WithLocalEndpoint(this IResourceBuilder<LocalServer> server, string name, int port, string scheme = "tcp") =>
        server.WithEndpoint(name, endpoint =>
        {
            endpoint.Protocol = ProtocolType.Tcp;
            endpoint.UriScheme = scheme;
            endpoint.Port = port;
            endpoint.IsProxied = false;
        });

    private static IResourceBuilder<LocalServer> WithConnectionCheck(this IResourceBuilder<LocalServer> server, Func<string, CancellationToken, Task> connect)
    {
        var key = $"{server.Resource.Name}_check";
        server.ApplicationBuilder.Services.AddHealthChecks().AddAsyncCheck(key, async token =>
        {
            try
            {
                await connect((await server.Resource.ConnectionStringExpression.GetValueAsync(token))!, token);
                return HealthCheckResult.Healthy();
            }
            catch (Exception e)
            {
                return HealthCheckResult.Unhealthy(e.Message);
            }
        });
        return server.WithHealthCheck(key);
    }

    private static string Text(int port) => port.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
