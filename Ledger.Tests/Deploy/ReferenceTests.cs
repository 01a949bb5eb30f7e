using System.Text.Json.Nodes;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Deploy;

/// <summary>References between the objects of each rendering: every name, port, selector and volume that is used is defined.</summary>
public sealed class ReferenceTests
{
    public static TheoryData<string> Renderings => Rendering.Names;

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Each_service_has_one_autoscaler_and_its_target_exists(string name)
    {
        var rendering = Rendering.Load(name);
        var targets = rendering.OfKind("HorizontalPodAutoscaler", "ScaledObject")
            .Select(scaler => (Kind: scaler.Text("spec.scaleTargetRef.kind") ?? "Deployment", Name: scaler.Text("spec.scaleTargetRef.name"))).ToList();

        Assert.All(targets, target => Assert.True(rendering.Has(target.Kind, target.Name), $"{name}: {target.Kind} {target.Name}, which an autoscaler scales, does not exist."));
        Assert.Equal(["api", "worker"], targets.Select(target => target.Name).Order(StringComparer.Ordinal));
        foreach (var scaler in rendering.OfKind("HorizontalPodAutoscaler"))
        {
            Assert.Equal("autoscaling/v2", scaler.Text("apiVersion"));
            Assert.Equal(["cpu", "memory"], scaler.Items("spec.metrics").Select(metric => metric.Text("resource.name")));
            Assert.NotNull(scaler.At("spec.behavior.scaleUp"));
            Assert.NotNull(scaler.At("spec.behavior.scaleDown"));
            Assert.True((int)scaler.At("spec.minReplicas")! < (int)scaler.At("spec.maxReplicas")!);
        }
        foreach (var authentication in rendering.OfKind("ScaledObject").SelectMany(scaler => scaler.Items("spec.triggers")).Select(trigger => trigger.Text("authenticationRef.name")).OfType<string>())
            Assert.True(rendering.Has("TriggerAuthentication", authentication));
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Each_service_is_selected_by_its_disruption_budget(string name)
    {
        var rendering = Rendering.Load(name);

        foreach (var service in (string[])["api", "worker"])
            Assert.Equal([service], rendering.Selected(rendering.The("PodDisruptionBudget", service).At("spec.selector")).Select(Rendering.NameOf));
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Each_service_selects_pods_with_its_ports(string name)
    {
        var rendering = Rendering.Load(name);

        Assert.True(rendering.Has("Service", "api"));
        foreach (var service in rendering.OfKind("Service"))
        {
            var selector = new JsonObject { ["matchLabels"] = service.At("spec.selector")!.DeepClone() };
            var workload = Assert.Single(rendering.Selected(selector));
            foreach (var port in service.Items("spec.ports"))
            {
                Assert.Contains(Rendering.PodOf(workload).Items("containers.0.ports"), offered =>
                    port.Text("targetPort") == offered.Text("name") || port.Text("targetPort") == offered.Text("containerPort"));
            }
        }
        foreach (var server in rendering.OfKind("StatefulSet"))
            Assert.Equal("None", rendering.The("Service", server.Text("spec.serviceName")!).Text("spec.clusterIP"));
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Each_ingress_backend_is_a_service_port(string name)
    {
        var rendering = Rendering.Load(name);

        foreach (var backend in rendering.OfKind("Ingress").SelectMany(ingress => ingress.Items("spec.rules")).SelectMany(rule => rule.Items("http.paths")).Select(path => path.At("backend.service")!))
            Assert.Contains(rendering.The("Service", backend.Text("name")!).Items("spec.ports"), port => port.Text("name") == backend.Text("port.name"));
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Each_pod_refers_to_existing_configuration_volumes_and_ports(string name)
    {
        var rendering = Rendering.Load(name);

        foreach (var workload in rendering.Workloads)
        {
            var volumes = Rendering.PodOf(workload).Items("volumes").Select(volume => volume.Text("name"))
                .Concat(workload.Items("spec.volumeClaimTemplates").Select(Rendering.NameOf)).ToList();
            foreach (var container in Rendering.ContainersOf(workload))
            {
                Assert.All(container.Items("volumeMounts"), mount => Assert.Contains(mount.Text("name"), volumes));
                Assert.All(container.Items("envFrom"), source => Assert.True(
                    rendering.Has("ConfigMap", source.Text("configMapRef.name")), $"{rendering.Describe(workload)} refers to the ConfigMap {source.Text("configMapRef.name")}, which does not exist."));
                foreach (var probe in ((string[])["startupProbe", "readinessProbe", "livenessProbe"]).Select(probe => container.At(probe)).OfType<JsonNode>())
                {
                    if ((probe.Text("httpGet.port") ?? probe.Text("tcpSocket.port")) is { } port)
                        Assert.Contains(port, container.Items("ports").Select(offered => offered.Text("name")));
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Network_policies_deny_by_default_and_allow_the_connections_that_services_need(string name)
    {
        var rendering = Rendering.Load(name);
        var policies = rendering.OfKind("NetworkPolicy").ToList();

        Assert.Contains(policies, policy => policy.At("spec.podSelector") is JsonObject { Count: 0 }
            && policy.At("spec.ingress") is null && policy.At("spec.egress") is null && policy.Items("spec.policyTypes").Count() == 2);
        foreach (var (from, to, port) in ((string, string, int)[])
            [
                ("api", "postgres", 5432), ("worker", "postgres", 5432), ("migrations", "postgres", 5432),
                ("api", "messaging", 5672), ("worker", "messaging", 5672),
            ])
        {
            Assert.True(policies.Any(policy => Concerns(policy, from) && Allows(policy, "egress", "to", to, port)), $"{name}: {from} must be allowed to connect to {to}.");
            Assert.True(policies.Any(policy => Concerns(policy, to) && Allows(policy, "ingress", "from", from, port)), $"{name}: {to} must accept connections from {from}.");
        }
        // Not every pod may reach PostgreSQL, and migrations need no RabbitMQ.
        Assert.DoesNotContain(policies, policy => Concerns(policy, "postgres") && policy.Items("spec.ingress").Any(rule => rule.At("from") is null));
        Assert.DoesNotContain(policies, policy => Concerns(policy, "messaging") && Allows(policy, "ingress", "from", "migrations", 5672));

        static bool Concerns(JsonObject policy, string app) => Means(policy.At("spec.podSelector"), app);

        static bool Allows(JsonObject policy, string direction, string peers, string app, int port) =>
            policy.Items($"spec.{direction}").Any(rule =>
                rule.Items(peers).Any(peer => peer.At("namespaceSelector") is null && Means(peer.At("podSelector"), app))
                && rule.Items("ports").Any(allowed => allowed.Text("port") == $"{port}"));

        // Kubernetes operators label the pods that they create in different ways.
        static bool Means(JsonNode? selector, string app) =>
            selector.Fields("matchLabels").Any(label => label.Key is "app" or "cnpg.io/cluster" or "app.kubernetes.io/name" && label.Value!.ToString() == app)
            || selector.Items("matchExpressions").Any(expression => expression.Items("values").Any(value => value.ToString() == app));
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Each_pod_monitor_scrapes_a_port_of_the_pods_that_it_selects(string name)
    {
        var rendering = Rendering.Load(name);

        foreach (var monitor in rendering.OfKind("PodMonitor"))
        {
            foreach (var workload in rendering.Selected(monitor.At("spec.selector")))
                Assert.All(monitor.Items("spec.podMetricsEndpoints"), endpoint => Assert.Contains(
                    Rendering.PodOf(workload).Items("containers").SelectMany(container => container.Items("ports")), port => port.Text("name") == endpoint.Text("port")));
        }
    }
}
