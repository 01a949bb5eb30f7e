namespace Ledger.AppHost;

/// <summary>What is started, where, and on which ports of 127.0.0.1: the options of <c>./run.sh</c>. A port of 0 is any free one.</summary>
internal sealed record RunOptions
{
    /// <summary>True: PostgreSQL and RabbitMQ are containers; false: programs of this machine; null: containers if an engine answers.</summary>
    public bool? UseContainers { get; init; }

    /// <summary>API processes, 0 or more. They accept each other's tokens.</summary>
    public int Apis { get; init; } = 1;

    /// <summary>Worker processes, 0 or more. They share the queue.</summary>
    public int Workers { get; init; } = 1;

    /// <summary>The first API's port; the others take the ports after it.</summary>
    public int ApiPort { get; init; } = 8080;

    /// <summary>PostgreSQL's port.</summary>
    public int PostgresPort { get; init; } = 15432;

    /// <summary>RabbitMQ's AMQP port.</summary>
    public int RabbitMqPort { get; init; } = 15673;

    /// <summary>The port of RabbitMQ's management page.</summary>
    public int ManagementPort { get; init; } = 15680;

    /// <summary>Where servers that are programs of this machine keep their data between runs. Null: <c>.ledger/run</c> in the repository.</summary>
    public string? DataDirectory { get; init; }

    /// <summary>Fresh data, deleted at the end. <see cref="DataDirectory"/> must be null.</summary>
    public bool IsEphemeral { get; init; }

    /// <summary>Whether the Aspire dashboard is started, with traces, metrics and logs of API and worker.</summary>
    public bool HasDashboard { get; init; } = true;

    /// <summary>The dashboard's port.</summary>
    public int DashboardPort { get; init; } = 18888;

    /// <summary><c>ASPNETCORE_ENVIRONMENT</c> of API and worker.</summary>
    public string Environment { get; init; } = "Development";

    /// <summary>Whether Prometheus and, with containers, Grafana are started too.</summary>
    public bool IsMonitored { get; init; }

    /// <summary>For tests, which end and start processes themselves: nothing is printed, and nothing that ended is started again.</summary>
    public bool IsTest { get; init; }

    /// <summary>Aspire's own settings, as <c>Key=Value</c>, or its options for publishing.</summary>
    public IReadOnlyList<string> AspireArguments { get; init; } = [];
}
