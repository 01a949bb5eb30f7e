using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.EntityFrameworkCore.Migrations;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using RabbitMQ.Client;

namespace Ledger.ServiceDefaults;

/// <summary>PostgreSQL and RabbitMQ clients, configured by the connection strings of the environment.</summary>
public static class Connections
{
    /// <summary>
    /// Adds an <see cref="NpgsqlDataSource"/> for SQL and <typeparamref name="TContext"/> for Entity Framework, both on the
    /// connection string <c>ledgerdb</c> and one connection pool.
    /// </summary>
    /// <param name="role">The database role that every connection assumes; null keeps the rights of the user that logs in.</param>
    /// <exception cref="ConfigurationException">The connection string is missing or malformed.</exception>
    public static void AddPostgres<TContext>(this IHostApplicationBuilder builder, string? role = null) where TContext : DbContext
    {
        var connection = ReadPostgres(builder.Configuration.RequiredConnectionString(ResourceNames.Database));
        connection.ApplicationName = builder.Environment.ApplicationName;
        // The ledger executes few distinct statements, so the ones that repeat are prepared.
        connection.MaxAutoPrepare = 64;
        connection.AutoPrepareMinUsages = 2;
        // Seconds. Detects a dead peer while no statement is sent.
        connection.KeepAlive = 15;
        // A transaction whose process hangs holds locks, and PostgreSQL would keep it for hours. Put first, so that a value in the
        // connection string takes precedence.
        connection.Options = $"-c idle_in_transaction_session_timeout=10s {connection.Options}".TrimEnd();
        // PostgreSQL allows 100 connections by default; with Npgsql's default of 100 one process could take them all.
        if (connection.MaxPoolSize == 100)
            connection.MaxPoolSize = 50;
        // Npgsql's default loads the Kerberos library. The images lack it, and Npgsql would report that on standard error.
        if (connection.GssEncryptionMode == GssEncryptionMode.Prefer && Environment.GetEnvironmentVariable("PGGSSENCMODE") is null)
            connection.GssEncryptionMode = GssEncryptionMode.Disable;
        if (role is not null && role != connection.Username)
        {
            // A startup option costs no round trip. The reset of a pooled connection would undo it, and nothing else needs the reset.
            connection.Options = $"{connection.Options} -c role={role}".TrimStart();
            connection.NoResetOnClose = true;
        }
        var connectionString = connection.ConnectionString;

        builder.Services.AddSingleton(services =>
            new NpgsqlDataSourceBuilder(connectionString)
                .UseLoggerFactory(services.GetRequiredService<ILoggerFactory>())
                .Build());
        // One pool for both, so that one failed statement clears the dead connections after an outage.
        builder.Services.AddDbContextPool<TContext>((services, options) => options
            // Without a schema the table would be created in the schema named like the user, which can be "ledger".
            .UseNpgsql(services.GetRequiredService<NpgsqlDataSource>(), postgres => postgres.MigrationsHistoryTable(HistoryRepository.DefaultTableName, "public"))
            // The migrations are hand-written SQL, so there is no model snapshot to compare with.
            .ConfigureWarnings(warnings => warnings.Ignore(RelationalEventId.PendingModelChangesWarning)));
        builder.EnrichNpgsqlDbContext<TContext>(settings =>
        {
            // Without PostgreSQL a request must end with 503 at once; retries would make it hang.
            settings.DisableRetry = true;
            // Health has its own check.
            settings.DisableHealthChecks = true;
            // Without an exporter each statement would still cost a span.
            settings.DisableTracing = !builder.Configuration.HasOtlpEndpoint();
        });
    }

    /// <summary>
    /// The reason why a statement failed, in one line. Names the connection string if PostgreSQL refuses the login (SQLSTATE class 28)
    /// or the database does not exist (3D).
    /// </summary>
    public static string ReasonOf(Exception e) => e is PostgresException { SqlState: var state } && state[..2] is "28" or "3D"
        ? $"PostgreSQL refuses the user, password or database of ConnectionStrings__{ResourceNames.Database}: {e.Message}"
        : e.Message;

    /// <summary>Adds an <see cref="IConnectionFactory"/> on the connection string <c>messaging</c>.</summary>
    /// <exception cref="ConfigurationException">The connection string is missing or malformed.</exception>
    public static void AddRabbitMQ(this IHostApplicationBuilder builder)
    {
        RefuseUnlessRabbitMQ(builder.Configuration.RequiredConnectionString(ResourceNames.Messaging));
        builder.AddRabbitMQClient(
            ResourceNames.Messaging,
            settings =>
            {
                settings.DisableAutoActivation = true;
                // Each service checks the connection that it holds.
                settings.DisableHealthChecks = true;
                // The ledger's own spans follow each command through RabbitMQ.
                settings.DisableTracing = true;
            },
            factory =>
            {
                factory.ClientProvidedName = builder.Environment.ApplicationName;
                // SessionService reconnects. A silent recovery would hide that unconfirmed messages must be sent again.
                factory.AutomaticRecoveryEnabled = false;
                factory.TopologyRecoveryEnabled = false;
                factory.RequestedHeartbeat = TimeSpan.FromSeconds(10);
                factory.RequestedConnectionTimeout = TimeSpan.FromSeconds(5);
                factory.ContinuationTimeout = TimeSpan.FromSeconds(10);
            });
    }

    // The driver's message is withheld: it may quote the part of a password after a semicolon as an unknown setting.
    private static NpgsqlConnectionStringBuilder ReadPostgres(string connectionString)
    {
        try
        {
            var connection = new NpgsqlConnectionStringBuilder(connectionString);
            // Validates the combination of settings without connecting.
            NpgsqlDataSource.Create(connection).Dispose();
            return connection;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or NotSupportedException)
        {
            throw new ConfigurationException(
                $"ConnectionStrings__{ResourceNames.Database} is not an Npgsql connection string such as Host=localhost;Username=…;Password=…;Database=ledgerdb.");
        }
    }

    private static void RefuseUnlessRabbitMQ(string connectionString)
    {
        try
        {
            _ = new ConnectionFactory { Uri = new Uri(connectionString) };
        }
        catch (Exception e) when (e is UriFormatException or ArgumentException)
        {
            throw new ConfigurationException(
                $"ConnectionStrings__{ResourceNames.Messaging} is not an AMQP address such as amqp://user:password@localhost:5672.");
        }
    }

    private static string RequiredConnectionString(this IConfiguration configuration, string name) =>
        configuration.GetConnectionString(name) is { Length: > 0 } value
            ? value
            : throw new ConfigurationException($"ConnectionStrings__{name} is not set.");
}
