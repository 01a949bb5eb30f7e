namespace Ledger.LocalHost;

/// <summary>What <see cref="LocalSystem.StartAsync"/> starts, where, and on which ports of 127.0.0.1. A port of 0 is any free one.</summary>
public sealed record LocalSystemOptions
{
    /// <summary>Where PostgreSQL and RabbitMQ keep their data between runs. Null: <c>.ledger/run</c> in the repository.</summary>
    public string? DataDirectory { get; init; }

    /// <summary>A fresh temporary data directory, deleted at the end. <see cref="DataDirectory"/> must be null.</summary>
    public bool Ephemeral { get; init; }

    /// <summary>How many API processes, 0 or more.</summary>
    public int Apis { get; init; } = 1;

    /// <summary>How many worker processes, 0 or more.</summary>
    public int Workers { get; init; } = 1;

    /// <summary>The first API's port; the others take the ports after it.</summary>
    public int ApiPort { get; init; } = 8080;

    /// <summary>PostgreSQL's port.</summary>
    public int PostgresPort { get; init; } = 15432;

    /// <summary>RabbitMQ's AMQP port.</summary>
    public int RabbitMqPort { get; init; } = 15673;

    /// <summary>The port of RabbitMQ's management page.</summary>
    public int ManagementPort { get; init; } = 15680;

    /// <summary>Whether the Aspire dashboard is started too, and API and worker send it their traces, metrics and logs.</summary>
    public bool Dashboard { get; init; }

    /// <summary>The dashboard's port.</summary>
    public int DashboardPort { get; init; } = 18888;

    /// <summary>What API and worker get as <c>ASPNETCORE_ENVIRONMENT</c>.</summary>
    public string EnvironmentName { get; init; } = "Development";

    /// <summary>
    /// Environment variables for API, worker and migration (<c>Ledger__…</c>), on top of this process's own, which they inherit.
    /// </summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>How long each process may take from its start until it is healthy.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(90);

    /// <summary>Called for each line that a process writes, and for what happens to it: (process, line). From any thread.</summary>
    public Action<string, string>? Log { get; init; }

    /// <summary>Every port free, data fresh and deleted at the end: for tests, beside whatever else runs.</summary>
    public static LocalSystemOptions ForTests { get; } = new()
    {
        Ephemeral = true,
        ApiPort = 0,
        PostgresPort = 0,
        RabbitMqPort = 0,
        ManagementPort = 0,
    };
}
