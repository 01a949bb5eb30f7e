using System.Globalization;
using System.Text.Json.Nodes;
using Ledger.Core.Messaging;
using Ledger.Tests.Harness;
using Ledger.Worker.Posting;

namespace Ledger.Tests.Deploy;

/// <summary>KEDA's triggers for the worker, where a rendering has them.</summary>
public sealed class AutoscalingTests
{
    private const int ManagementPort = 15672;

    public static TheoryData<string> Renderings =>
        [.. Rendering.Names.Select(row => Rendering.Load(row)).Where(rendering => rendering.OfKind("ScaledObject").Any()).Select(rendering => rendering.Name)];

    [Fact]
    public void The_production_overlay_and_the_chart_have_triggers() => Assert.Equal(["helm-keda", "production"], Renderings.Select(row => row.Data));

    /// <summary>Over AMQP, KEDA sees ready messages only, and a worker's prefetch hides the rest.</summary>
    [Theory]
    [MemberData(nameof(Renderings))]
    public void The_worker_scales_by_ready_and_unacknowledged_messages(string name)
    {
        var trigger = Trigger(Rendering.Load(name), "rabbitmq");

        Assert.Equal("http", trigger.Text("metadata.protocol"));
        Assert.Equal("false", trigger.Text("metadata.excludeUnacknowledged"));
        Assert.Equal("QueueLength", trigger.Text("metadata.mode"));
        Assert.Equal(Topology.CommandQueue, trigger.Text("metadata.queueName"));
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void A_worker_with_a_full_prefetch_calls_for_another(string name)
    {
        var messagesPerWorker = int.Parse(Trigger(Rendering.Load(name), "rabbitmq").Text("metadata.value")!, CultureInfo.InvariantCulture);

        Assert.InRange(messagesPerWorker, 1, new WorkerOptions().Prefetch - 1);
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void The_worker_scales_by_the_age_of_its_backlog(string name)
    {
        var trigger = Trigger(Rendering.Load(name), "prometheus");

        Assert.Equal("Value", trigger.Text("metricType"));
        Assert.Equal("ledger:backlog_age_seconds:max", trigger.Text("metadata.query"));
        Assert.Contains($"record: {trigger.Text("metadata.query")}\n", Repository.Read("deploy/prometheus/ledger.rules.yml"), StringComparison.Ordinal);
        // A Prometheus without the rule is an error, not an empty backlog.
        Assert.Equal("false", trigger.Text("metadata.ignoreNullValues"));
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void KEDA_may_call_the_management_API_and_no_other_port_of_RabbitMQ(string name)
    {
        var ports = Rendering.Load(name).OfKind("NetworkPolicy")
            .SelectMany(policy => policy.Items("spec.ingress"))
            .Where(rule => rule.Items("from").Any(peer => peer.At("namespaceSelector.matchLabels")?["kubernetes.io/metadata.name"]?.ToString() == "keda"))
            .SelectMany(rule => rule.Items("ports")).Select(port => port.Text("port"));

        Assert.Equal([$"{ManagementPort}"], ports);
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public async Task The_trigger_has_the_address_and_the_credentials_of_the_management_API(string name)
    {
        var rendering = Rendering.Load(name);
        var trigger = Trigger(rendering, "rabbitmq");
        var parameters = rendering.The("TriggerAuthentication", trigger.Text("authenticationRef.name")!).Items("spec.secretTargetRef")
            .ToDictionary(parameter => parameter.Text("parameter")!, parameter => (Secret: parameter.Text("name"), Key: parameter.Text("key")!));

        Uri address;
        if (rendering.HasOperators)
        {
            // RabbitMQ's operator writes user and password, and no address of the management API.
            Assert.Equal(new() { ["username"] = ("messaging-default-user", "username"), ["password"] = ("messaging-default-user", "password") }, parameters);
            address = new Uri(trigger.Text("metadata.host")!);
        }
        else
        {
            var secret = Assert.Single(Yaml.Parse(await Repository.OutputOfAsync("bash", "deploy/create-secret.sh", "--print")));
            var (parameter, (secretName, key)) = Assert.Single(parameters);
            Assert.Equal(("host", Rendering.NameOf(secret)), (parameter, secretName));
            address = new Uri(secret.Text($"stringData.{key}")!);
            Assert.Equal($"guest:{secret.Text("stringData.RABBITMQ_DEFAULT_PASS")}", address.UserInfo);
        }
        // KEDA needs the slash after the port, where a virtual host could follow.
        Assert.Equal(("http", "messaging.ledger.svc", ManagementPort, "/"), (address.Scheme, address.Host, address.Port, address.AbsolutePath));
        Assert.EndsWith("/", address.OriginalString, StringComparison.Ordinal);
    }

    private static JsonNode Trigger(Rendering rendering, string type) =>
        Assert.Single(rendering.The("ScaledObject", "worker").Items("spec.triggers"), trigger => trigger.Text("type") == type);
}
