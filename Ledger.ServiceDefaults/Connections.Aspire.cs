using Ledger.ServiceDefaults.Telemetry;
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
            // Each statement would be recorded even where nobody is told of it.
            settings.DisableTracing = !builder.Configuration.HasOtlpEndpoint();
        });

    private static void AddConnectionFactory(this IHostApplicationBuilder builder, Action<ConnectionFactory> configure) =>
        builder.AddRabbitMQClient(
            ResourceNames.Messaging,
            settings =>
            {
                settings.DisableAutoActivation = true;
                // ServiceDefaults has its own.
                settings.DisableHealthChecks = true;
                // The ledger's own spans follow a command through the broker.
                settings.DisableTracing = true;
            },
            configure);
}
