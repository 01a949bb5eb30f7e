using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using RabbitMQ.Client;

namespace Ledger.ServiceDefaults;

public static partial class Connections
{
    private static void AddContext<TContext>(
        this IHostApplicationBuilder builder, string connectionString, Action<DbContextOptionsBuilder> configure) where TContext : DbContext =>
        builder.AddNpgsqlDbContext<TContext>(
            ResourceNames.Database,
            settings =>
            {
                settings.ConnectionString = connectionString;
                // A database that is away is a 503 at once, not a request that hangs.
                settings.DisableRetry = true;
                // ServiceDefaults has its own.
                settings.DisableHealthChecks = true;
            },
            configure);

    private static void AddConnectionFactory(this IHostApplicationBuilder builder, Action<ConnectionFactory> configure) =>
        builder.AddRabbitMQClient(
            ResourceNames.Messaging,
            settings =>
            {
                settings.DisableAutoActivation = true;
                // ServiceDefaults has its own.
                settings.DisableHealthChecks = true;
            },
            configure);
}
