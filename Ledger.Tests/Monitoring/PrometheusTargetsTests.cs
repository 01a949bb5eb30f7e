using System.Text.Json.Nodes;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Monitoring;

/// <summary>The targets file with which Prometheus finds the processes of a local run.</summary>
public sealed class PrometheusTargetsTests(LedgerSystem system)
{
    [Fact]
    public async Task The_targets_file_of_the_configuration_lists_every_service()
    {
        var configuration = Assert.Single(Yaml.Parse(Repository.Read("deploy/prometheus/prometheus.run.yml")));
        var looksAt = configuration.Text("scrape_configs.0.file_sd_configs.0.files.0")!;
        Assert.Equal(Repository.PathOf(".ledger/run"), Path.GetDirectoryName(Path.GetFullPath(looksAt, Repository.PathOf("deploy/prometheus"))));

        var written = await File.ReadAllTextAsync(Path.Combine(await system.DataDirectoryAsync(), Path.GetFileName(looksAt)), TestContext.Current.CancellationToken);

        var groups = JsonNode.Parse($$"""{"groups":{{written}}}""").Items("groups").ToList();
        Assert.Equal(["api", "worker"], groups.Select(group => group.Text("labels.job")));
        Assert.Equal(
            (await system.MetricsAsync()).Select(metrics => metrics.Authority),
            groups.SelectMany(group => group.Items("targets")).Select(target => target.ToString()));
    }
}
