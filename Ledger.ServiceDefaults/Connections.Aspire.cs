using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using RabbitMQ.Client;

namespace Ledger.ServiceDefaults;

public static partial class Connections
{
    private static void EnrichContext<TContext>(this IHostApplicationBuilder builder) where TContext : DbContext =>
        builder.EnrichNpgsqlDbContext<TContext>(settings =>
        {
            // A database that is away is a 503 at once, not a request that hangs.
            settings.DisableRetry = true;
            // ServiceDefaults has its own.
            settings.DisableHealthChecks = true;
        });

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
