namespace Ledger.ServiceDefaults;

/// <summary>
/// The names of the parts of the system: resources of the Aspire model, connection strings, services of Compose and Kubernetes.
/// </summary>
public static class ResourceNames
{
    /// <summary>The PostgreSQL server.</summary>
    public const string Postgres = "postgres";

    /// <summary>The ledger's database and its connection string, <c>ConnectionStrings__ledgerdb</c>.</summary>
    public const string Database = "ledgerdb";

    /// <summary>The RabbitMQ broker and its connection string, <c>ConnectionStrings__messaging</c>.</summary>
    public const string Messaging = "messaging";

    /// <summary>The job that migrates the database to the current schema.</summary>
    public const string Migrations = "migrations";

    /// <summary>The HTTP API.</summary>
    public const string Api = "api";

    /// <summary>The worker, which posts the commands that the API accepted.</summary>
    public const string Worker = "worker";

    /// <summary>The load generator, which is started on request.</summary>
    public const string Load = "load";

    /// <summary>Prometheus, if monitoring is enabled.</summary>
    public const string Prometheus = "prometheus";

    /// <summary>Grafana, if monitoring is enabled.</summary>
    public const string Grafana = "grafana";

    /// <summary>The parameter with the password of <see cref="Postgres"/>.</summary>
    public const string PostgresPassword = "postgres-password";

    /// <summary>The parameter with the password of <see cref="Messaging"/>.</summary>
    public const string MessagingPassword = "messaging-password";
}
