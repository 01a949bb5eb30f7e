using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using RabbitMQ.Client;

namespace Ledger.ServiceDefaults;

public static partial class Connections
{
    private static void AddContext<TContext>(
        this IHostApplicationBuilder builder, string connectionString, Action<DbContextOptionsBuilder> configure) where TContext : DbContext =>
        builder.Services.AddDbContextPool<TContext>(options => configure(options.UseNpgsql(connectionString)));

    private static void AddConnectionFactory(this IHostApplicationBuilder builder, Action<ConnectionFactory> configure) =>
        builder.Services.AddSingleton<IConnectionFactory>(_ =>
        {
            var factory = new ConnectionFactory { Uri = new Uri(builder.Configuration.GetConnectionString(ResourceNames.Messaging)!) };
            configure(factory);
            return factory;
        });
}
