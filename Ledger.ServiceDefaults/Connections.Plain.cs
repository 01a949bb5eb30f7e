using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using RabbitMQ.Client;

namespace Ledger.ServiceDefaults;

public static partial class Connections
{
    // What Aspire's package would add is what Npgsql tells by itself, and what the telemetry listens to anyway.
    private static void EnrichContext<TContext>(this IHostApplicationBuilder builder) where TContext : DbContext
    {
    }

    private static void AddConnectionFactory(this IHostApplicationBuilder builder, Action<ConnectionFactory> configure) =>
        builder.Services.AddSingleton<IConnectionFactory>(_ =>
        {
            var factory = new ConnectionFactory { Uri = new Uri(builder.Configuration.GetConnectionString(ResourceNames.Messaging)!) };
            configure(factory);
            return factory;
        });
}
