using Ledger.ServiceDefaults.Telemetry;
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

/// <summary>How a service reaches PostgreSQL and RabbitMQ: by the connection strings of its environment.</summary>
public static class Connections
{
    /// <summary>
    /// Adds an <see cref="NpgsqlDataSource"/> for SQL and <typeparamref name="TContext"/> for what Entity Framework does,
    /// both on connection string <c>ledgerdb</c>.
    /// </summary>
    /// <param name="role">
    /// The role of the database whose rights are enough: every connection steps down to it. Null: those of whoever logs in.
    /// </param>
    public static void AddPostgres<TContext>(this IHostApplicationBuilder builder, string? role = null) where TContext : DbContext
    {
        var connection = ReadPostgres(builder.Configuration.RequiredConnectionString(ResourceNames.Database));
        connection.ApplicationName = builder.Environment.ApplicationName;
        // Each statement of the ledger is one of few texts: prepare those that come twice.
        connection.MaxAutoPrepare = 64;
        connection.AutoPrepareMinUsages = 2;
        // A dead peer is noticed although nothing is being sent.
        connection.KeepAlive = 15;
        // A transaction here goes from statement to statement in milliseconds. One that stops in between, with its process or the way to
        // it, holds locks that others wait for; and PostgreSQL itself notices after hours. First: who sets it otherwise is right.
        connection.Options = $"-c idle_in_transaction_session_timeout=10s {connection.Options}".TrimEnd();
        // Npgsql's own default, 100, would let two processes take all that a server admits. Nobody is served faster by more; who
        // needs it says so in the connection string.
        if (connection.MaxPoolSize == 100)
            connection.MaxPoolSize = 50;
        // Npgsql's default looks for Kerberos, whose library the images do not have, and complains of that on standard error.
        if (connection.GssEncryptionMode == GssEncryptionMode.Prefer && Environment.GetEnvironmentVariable("PGGSSENCMODE") is null)
            connection.GssEncryptionMode = GssEncryptionMode.Disable;
        if (role is not null && role != connection.Username)
        {
            // From the start of the session, so that it costs no round trip; and for its whole life: the reset between two users
            // of a pooled connection would step up again. Nothing leaves settings behind that it would have to take away.
            connection.Options = $"{connection.Options} -c role={role}".TrimStart();
            connection.NoResetOnClose = true;
        }
        var connectionString = connection.ConnectionString;

        builder.Services.AddSingleton(services =>
            new NpgsqlDataSourceBuilder(connectionString)
                .UseLoggerFactory(services.GetRequiredService<ILoggerFactory>())
                .Build());
        // One pool for both: when a server comes back, whoever asks first finds out that the old connections are dead, for all.
        builder.Services.AddDbContextPool<TContext>((services, options) => options
            // Without a schema the history would be looked for in that of whoever migrates: "ledger", where its owner is called so.
            .UseNpgsql(services.GetRequiredService<NpgsqlDataSource>(), postgres => postgres.MigrationsHistoryTable(HistoryRepository.DefaultTableName, "public"))
            // The migrations are SQL that people wrote; there is no snapshot of a model that could lag behind.
            .ConfigureWarnings(warnings => warnings.Ignore(RelationalEventId.PendingModelChangesWarning)));
        builder.EnrichNpgsqlDbContext<TContext>(settings =>
        {
            // A database that is away is a 503 at once, not a request that hangs.
            settings.DisableRetry = true;
            // Health has a check of its own.
            settings.DisableHealthChecks = true;
            // Otherwise every statement would get a span, even when traces are exported nowhere.
            settings.DisableTracing = !builder.Configuration.HasOtlpEndpoint();
        });
    }

    /// <summary>Why PostgreSQL could not be asked, in one line: with the option's name, where that has to be set right.</summary>
    public static string ReasonOf(Exception e) => e is PostgresException { SqlState: var state } && state[..2] is "28" or "3D"
        ? $"It refuses the user, password or database of ConnectionStrings__{ResourceNames.Database}: {e.Message}"
        : e.Message;

    /// <summary>Adds an <c>IConnectionFactory</c> on connection string <c>messaging</c>.</summary>
    public static void AddRabbitMQ(this IHostApplicationBuilder builder)
    {
        RefuseUnlessRabbitMQ(builder.Configuration.RequiredConnectionString(ResourceNames.Messaging));
        builder.AddRabbitMQClient(
            ResourceNames.Messaging,
            settings =>
            {
                settings.DisableAutoActivation = true;
                // The services check the connections that they hold.
                settings.DisableHealthChecks = true;
                // The ledger's own spans follow a command through RabbitMQ.
                settings.DisableTracing = true;
            },
            factory =>
            {
                factory.ClientProvidedName = builder.Environment.ApplicationName;
                // The services reconnect by themselves: what was under way must be decided anew, not recovered silently.
                factory.AutomaticRecoveryEnabled = false;
                factory.TopologyRecoveryEnabled = false;
                factory.RequestedHeartbeat = TimeSpan.FromSeconds(10);
                factory.RequestedConnectionTimeout = TimeSpan.FromSeconds(5);
                factory.ContinuationTimeout = TimeSpan.FromSeconds(10);
            });
    }

    // The driver's reason is not told: what stands behind a semicolon in a password looks like the next setting, which it would name.
    private static NpgsqlConnectionStringBuilder ReadPostgres(string connectionString)
    {
        try
        {
            var connection = new NpgsqlConnectionStringBuilder(connectionString);
            // Finds what is missing, or excludes each other, and connects to nothing.
            NpgsqlDataSource.Create(connection).Dispose();
            return connection;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or NotSupportedException)
        {
            throw new ConfigurationException(
                $"ConnectionStrings__{ResourceNames.Database} is not how Npgsql takes PostgreSQL's address: Host=localhost;Username=…;Password=…;Database=ledgerdb.");
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
                $"ConnectionStrings__{ResourceNames.Messaging} is not an address of RabbitMQ: amqp://user:password@localhost:5672.");
        }
    }

    private static string RequiredConnectionString(this IConfiguration configuration, string name) =>
        configuration.GetConnectionString(name) is { Length: > 0 } value
            ? value
            : throw new ConfigurationException($"ConnectionStrings__{name} is not set.");
}
