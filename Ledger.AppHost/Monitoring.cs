using Ledger.ServiceDefaults;

namespace Ledger.AppHost;

/// <summary>What the services tell about themselves, and who asks: <c>/metrics</c>, Prometheus and Grafana.</summary>
internal static class Monitoring
{
    private const string Metrics = "metrics";

    /// <summary>
    /// Gives each process on this machine a port of its own for <c>/metrics</c>. A published container has its network
    /// to itself and keeps the default, so the manifest does not mention it.
    /// </summary>
    public static IResourceBuilder<ProjectResource> WithMetricsEndpoint(this IResourceBuilder<ProjectResource> project) =>
        project.ApplicationBuilder.ExecutionContext.IsRunMode
            ? project.WithHttpEndpoint(name: Metrics, env: "Ledger__Metrics__Port")
            : project;

    /// <summary>
    /// Adds Prometheus, which scrapes the services and RabbitMQ and evaluates the alerts, and Grafana with the ledger's dashboard.
    /// Replicas share one proxied port, where Prometheus would meet another of them at each scrape: run one worker.
    /// </summary>
    public static void AddMonitoring(
        this IDistributedApplicationBuilder builder,
        IResourceBuilder<ProjectResource> api,
        IResourceBuilder<ProjectResource> worker,
        IResourceBuilder<RabbitMQServerResource> messaging)
    {
        messaging.WithHttpEndpoint(targetPort: 15692, name: Metrics);

        var prometheus = builder.AddContainer(ResourceNames.Prometheus, "prom/prometheus", "v3.7.3")
            .WithBindMount("../deploy/prometheus", "/etc/prometheus", isReadOnly: true)
            .WithEntrypoint("/bin/sh")
            .WithArgs("/etc/prometheus/start-local.sh")
            .WithEnvironment("API_METRICS", HostAndPort(api))
            .WithEnvironment("WORKER_METRICS", HostAndPort(worker))
            .WithEnvironment("MESSAGING_METRICS", HostAndPort(messaging))
            .WithHttpEndpoint(port: 9090, targetPort: 9090, name: "http");

        builder.AddContainer(ResourceNames.Grafana, "grafana/grafana", "12.2.0")
            .WithBindMount("../deploy/grafana/provisioning", "/etc/grafana/provisioning", isReadOnly: true)
            .WithBindMount("../deploy/grafana/dashboards", "/var/lib/grafana/dashboards", isReadOnly: true)
            .WithEnvironment("PROMETHEUS_URL", prometheus.GetEndpoint("http"))
            .WithEnvironment("GF_AUTH_ANONYMOUS_ENABLED", "true")
            .WithEnvironment("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH", "/var/lib/grafana/dashboards/ledger.json")
            .WithHttpEndpoint(port: 3000, targetPort: 3000, name: "http");
    }

    private static ReferenceExpression HostAndPort(IResourceBuilder<IResourceWithEndpoints> resource) =>
        ReferenceExpression.Create($"{resource.GetEndpoint(Metrics).Property(EndpointProperty.HostAndPort)}");
}
