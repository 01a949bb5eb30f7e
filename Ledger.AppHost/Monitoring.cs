using System.Text.Json;
using Ledger.AppHost.Servers;
using Ledger.ServiceDefaults;

namespace Ledger.AppHost;

/// <summary>Prometheus over the <c>/metrics</c> of API, worker and RabbitMQ, and Grafana with the ledger's dashboards.</summary>
internal static class Monitoring
{
    /// <summary>In the data directory; <c>deploy/prometheus/prometheus.run.yml</c> looks for it in that of a plain <c>./run.sh</c>.</summary>
    public const string TargetsFile = "prometheus-targets.json";

    private const int PrometheusPort = 9090;
    private const int GrafanaPort = 3000;

    /// <summary>
    /// Adds Prometheus and Grafana as containers, or Prometheus as this machine's own program. A native run tells every Prometheus
    /// on the machine where its services are.
    /// </summary>
    /// <exception cref="DistributedApplicationException">Prometheus is asked for and not installed.</exception>
    public static void AddMonitoring(
        this IDistributedApplicationBuilder builder,
        IReadOnlyList<IResourceBuilder<ProjectResource>> apis,
        IReadOnlyList<IResourceBuilder<ProjectResource>> workers,
        IResourceBuilder<IResource> messaging,
        DataDirectory? data,
        RunOptions options)
    {
        if (data is not null)
            File.WriteAllText(data.In(TargetsFile), JsonSerializer.Serialize(Targets(apis, workers)));
        if (!options.IsMonitored)
            return;
        if (data is not null)
            builder.AddLocalPrometheus(data);
        else
            builder.AddContainers(apis, workers, (IResourceBuilder<RabbitMQServerResource>)messaging);
    }

    // The alerts know the services by their job.
    private static object Targets(params IReadOnlyList<IResourceBuilder<ProjectResource>>[] jobs) => new[] { ResourceNames.Api, ResourceNames.Worker }
        .Zip(jobs, (job, services) => new { labels = new { job }, targets = services.Select(service => $"localhost:{service.GetEndpoint(Services.Metrics).EndpointAnnotation.Port}") });

    private static void AddLocalPrometheus(this IDistributedApplicationBuilder builder, DataDirectory data)
    {
        if (Shell.Run("prometheus", "--version") != 0)
            throw new DistributedApplicationException("--monitoring needs a container engine, or Prometheus on this machine: apt-get install --no-install-recommends prometheus.");
        var folder = Path.GetFullPath(Path.Combine(builder.AppHostDirectory, "../deploy/prometheus"));
        var configuration = data.In("prometheus.yml");
        File.WriteAllText(configuration, File.ReadAllText(Path.Combine(folder, "prometheus.run.yml"))
            .Replace("ledger.rules.yml", Path.Combine(folder, "ledger.rules.yml"), StringComparison.Ordinal)
            .Replace($"../../.ledger/run/{TargetsFile}", data.In(TargetsFile), StringComparison.Ordinal));
        if (Ports.IsListenedOn(PrometheusPort))
            throw new DistributedApplicationException($"port {PrometheusPort} for Prometheus is in use: stop the program that listens there.");
        builder.AddExecutable(ResourceNames.Prometheus, "prometheus", data.Root,
                $"--config.file={configuration}", $"--storage.tsdb.path={data.In("prometheus")}", $"--web.listen-address=127.0.0.1:{PrometheusPort}", "--log.level=warn")
            .WithHttpEndpoint(port: PrometheusPort, name: "http", isProxied: false)
            .WithEnvironment(Leftovers.Mark, data.Root)
            .WithHttpHealthCheck("/-/ready");
    }

    private static void AddContainers(
        this IDistributedApplicationBuilder builder,
        IReadOnlyList<IResourceBuilder<ProjectResource>> apis,
        IReadOnlyList<IResourceBuilder<ProjectResource>> workers,
        IResourceBuilder<RabbitMQServerResource> messaging)
    {
        messaging.WithHttpEndpoint(targetPort: 15692, name: Services.Metrics);
        var prometheus = builder.AddContainer(ResourceNames.Prometheus, "prom/prometheus", "v3.7.3")
            .WithBindMount("../deploy/prometheus", "/etc/prometheus", isReadOnly: true)
            .WithEntrypoint("/bin/sh")
            .WithArgs("/etc/prometheus/start-local.sh")
            .WithEnvironment("API_METRICS", Addresses(apis))
            .WithEnvironment("WORKER_METRICS", Addresses(workers))
            .WithEnvironment("MESSAGING_METRICS", Addresses([messaging]))
            .WithHttpEndpoint(port: PrometheusPort, targetPort: 9090, name: "http");

        builder.AddContainer(ResourceNames.Grafana, "grafana/grafana", "12.2.0")
            .WithBindMount("../deploy/grafana/provisioning", "/etc/grafana/provisioning", isReadOnly: true)
            .WithBindMount("../deploy/grafana/dashboards", "/var/lib/grafana/dashboards", isReadOnly: true)
            .WithEnvironment("PROMETHEUS_URL", prometheus.GetEndpoint("http"))
            .WithEnvironment("GF_AUTH_ANONYMOUS_ENABLED", "true")
            .WithEnvironment("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH", "/var/lib/grafana/dashboards/ledger.json")
            .WithHttpEndpoint(port: GrafanaPort, targetPort: 3000, name: "http");
    }

    // "host:port", "host:port": the items of a JSON array.
    private static ReferenceExpression Addresses(IEnumerable<IResourceBuilder<IResourceWithEndpoints>> resources)
    {
        var list = new ReferenceExpressionBuilder();
        var separator = "\"";
        foreach (var resource in resources)
        {
            list.AppendLiteral(separator);
            list.Append($"{resource.GetEndpoint(Services.Metrics).Property(EndpointProperty.HostAndPort)}");
            list.AppendLiteral("\"");
            separator = ", \"";
        }
        return list.Build();
    }
}
