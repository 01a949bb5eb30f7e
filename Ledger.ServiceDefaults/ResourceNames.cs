namespace Ledger.ServiceDefaults;

/// <summary>
/// The names by which the parts of the system know each other: resources of the Aspire model, connection strings,
/// services of Compose and Kubernetes.
/// </summary>
public static class ResourceNames
{
    /// <summary>The PostgreSQL server.</summary>
    public const string Postgres = "postgres";

    /// <summary>The ledger's database, and its connection string: <c>ConnectionStrings__ledgerdb</c>.</summary>
    public const string Database = "ledgerdb";

    /// <summary>RabbitMQ, and its connection string: <c>ConnectionStrings__messaging</c>.</summary>
    public const string Messaging = "messaging";

    /// <summary>The job that brings the database to the current schema, and ends.</summary>
    public const string Migrations = "migrations";

    /// <summary>The HTTP API.</summary>
    public const string Api = "api";

    /// <summary>The worker, which posts what the API accepted.</summary>
    public const string Worker = "worker";

    /// <summary>The load generator, started by hand.</summary>
    public const string Load = "load";

    /// <summary>Prometheus, where monitoring is switched on.</summary>
    public const string Prometheus = "prometheus";

    /// <summary>Grafana, where monitoring is switched on.</summary>
    public const string Grafana = "grafana";

    /// <summary>The parameter that holds the password of <see cref="Postgres"/>.</summary>
    public const string PostgresPassword = "postgres-password";

    /// <summary>The parameter that holds the password of <see cref="Messaging"/>.</summary>
    public const string MessagingPassword = "messaging-password";
}
