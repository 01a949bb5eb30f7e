using System.Text.Json;
using Ledger.LocalHost.Processes;

namespace Ledger.LocalHost;

/// <summary>Tells a Prometheus on this machine where the services are, in the form of its <c>file_sd_configs</c>.</summary>
internal static class PrometheusTargets
{
    /// <summary>In the data directory; <c>deploy/prometheus/prometheus.run.yml</c> looks for it there.</summary>
    public const string File = "prometheus-targets.json";

    /// <summary>Writes those of a start anew. The alerts know the services by their job.</summary>
    public static void Write(DataDirectory data, params (string Job, IReadOnlyList<LocalProcess> Services)[] jobs) => System.IO.File.WriteAllText(
        data.In(File),
        JsonSerializer.Serialize(jobs.Select(job => new { labels = new { job = job.Job }, targets = job.Services.Select(service => service.Metrics!.Authority) })));
}
