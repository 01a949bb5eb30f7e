using System.Text.Json.Nodes;
using Ledger.ServiceDefaults;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Deploy;

/// <summary>Rules for the pods of every deployment.</summary>
public sealed class WorkloadTests
{
    public static TheoryData<string> Renderings => Rendering.Names;

    [Theory]
    [MemberData(nameof(Renderings))]
    public void A_pod_meets_the_restricted_standard_and_writes_to_its_volumes_only(string name)
    {
        var rendering = Rendering.Load(name);

        Assert.NotEmpty(rendering.Workloads);
        foreach (var workload in rendering.Workloads)
        {
            var pod = Rendering.PodOf(workload);
            var what = rendering.Describe(workload);
            Assert.True(pod.Text("securityContext.runAsNonRoot") == "true", $"{what} may run as root.");
            Assert.True(pod.Text("securityContext.runAsUser") is { } user && user != "0", $"{what} names no user to run as, or root.");
            Assert.True(pod.Text("securityContext.seccompProfile.type") == "RuntimeDefault", $"{what} has no seccomp profile.");
            Assert.True(pod.Text("automountServiceAccountToken") == "false", $"{what} mounts a Kubernetes token.");
            Assert.True(pod.Text("enableServiceLinks") == "false", $"{what} gets environment variables for every service.");
            Assert.True(rendering.Has("ServiceAccount", pod.Text("serviceAccountName")), $"{what} names a service account that does not exist.");
            foreach (var container in Rendering.ContainersOf(workload))
            {
                var context = container.At("securityContext");
                Assert.True(context.Text("readOnlyRootFilesystem") == "true", $"{what} has a writable root file system.");
                Assert.True(context.Text("allowPrivilegeEscalation") == "false", $"{what} may gain privileges.");
                Assert.Equal(["ALL"], context.Items("capabilities.drop").Select(capability => capability.ToString()));
                Assert.True(container.Items("volumeMounts").Any(mount => mount.Text("mountPath") == "/tmp"), $"{what} has no /tmp.");
            }
        }
        Assert.Equal("restricted", rendering.OfKind("Namespace").SingleOrDefault()?.At("metadata.labels")?["pod-security.kubernetes.io/enforce"]?.ToString() ?? "restricted");
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void A_container_requests_and_limits_cpu_and_memory(string name)
    {
        var rendering = Rendering.Load(name);

        foreach (var workload in rendering.Workloads)
        {
            foreach (var container in Rendering.ContainersOf(workload))
            {
                foreach (var amount in (string[])["requests.cpu", "requests.memory", "limits.cpu", "limits.memory"])
                    Assert.True(container.At("resources").Text(amount) is not null, $"{rendering.Describe(workload)}, {container.Text("name")} has no {amount}.");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Images_are_pinned_and_Ledgers_have_the_version_of_the_repository(string name)
    {
        foreach (var image in Rendering.Load(name).Workloads.SelectMany(Rendering.ContainersOf).Select(container => container.Text("image")!))
        {
            var tag = image[(image.LastIndexOf('/') + 1)..].Split('@', ':').ElementAtOrDefault(1);
            Assert.False(string.IsNullOrEmpty(tag) || tag == "latest", $"{image} is not pinned to a version.");
            if (image.Contains("ledger/", StringComparison.Ordinal) && !image.Contains('@', StringComparison.Ordinal))
                Assert.Equal(Repository.Version, tag);
        }
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Servers_have_the_images_of_the_app_model(string name)
    {
        var rendering = Rendering.Load(name);
        var model = JsonNode.Parse(Repository.Read("Ledger.Tests/Approved/aspire-manifest.json"));
        var (postgres, messaging) = (model.Text("resources.postgres.image")!, model.Text("resources.messaging.image")!);

        if (rendering.HasOperators)
        {
            Assert.Equal(messaging, rendering.The("RabbitmqCluster", "messaging").Text("spec.image"));
            // CloudNativePG has images of its own, with PostgreSQL's versions as tags.
            Assert.EndsWith($"/postgresql:{postgres.Split(':')[1]}", rendering.The("Cluster", "postgres").Text("spec.imageName"), StringComparison.Ordinal);
        }
        else
        {
            Assert.Equal(messaging, ImageOf("messaging"));
            Assert.Equal(postgres, ImageOf("postgres"));
        }

        string? ImageOf(string server) => Rendering.PodOf(rendering.The("StatefulSet", server)).Text("containers.0.image");
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Api_and_worker_roll_out_without_an_outage(string name)
    {
        var rendering = Rendering.Load(name);

        Assert.Equal(["api", "worker"], rendering.Services.Select(Rendering.NameOf).Order(StringComparer.Ordinal));
        foreach (var service in rendering.Services)
        {
            Assert.Null(service.At("spec.replicas"));
            Assert.Equal("RollingUpdate", service.Text("spec.strategy.type"));
            Assert.Equal("0", service.Text("spec.strategy.rollingUpdate.maxUnavailable"));
            var pod = Rendering.PodOf(service);
            Assert.Contains(pod.Items("topologySpreadConstraints"), spread => spread.Text("topologyKey") == "kubernetes.io/hostname");
            var container = Assert.Single(pod.Items("containers"));
            var preStop = (int)container.At("lifecycle.preStop.sleep.seconds")!;
            Assert.True(preStop > 0);
            // One second to close connections, and five for a slow node.
            Assert.InRange((int)pod.At("terminationGracePeriodSeconds")!, preStop + ServiceDefaultsSetup.ShutdownSeconds + 1 + 5, 120);
        }
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Long_running_containers_have_all_three_probes(string name)
    {
        foreach (var workload in Rendering.Load(name).OfKind("Deployment", "StatefulSet"))
        {
            foreach (var container in Rendering.PodOf(workload).Items("containers"))
                Assert.All((string[])["startupProbe", "readinessProbe", "livenessProbe"], probe => Assert.NotNull(container.At(probe)));
        }
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Api_and_worker_wait_for_the_migrations(string name)
    {
        var rendering = Rendering.Load(name);

        var migrations = Assert.Single(rendering.OfKind("Job"));
        var migrating = Assert.Single(Rendering.ContainersOf(migrations));
        Assert.Equal("migrate", migrating.Text("args.0"));
        foreach (var service in rendering.Services)
        {
            var waiting = Assert.Single(Rendering.PodOf(service).Items("initContainers"));
            Assert.Equal(migrating.Text("image"), waiting.Text("image"));
            Assert.Contains("--check", waiting.Items("args").Select(argument => argument.ToString()));
        }
        foreach (var container in rendering.Services.Append(migrations).SelectMany(Rendering.ContainersOf).Where(container => container.At("args") is not null))
            Assert.Empty(Ledger.Cli.Migrate.MigrateCommand.Create().Parse([.. container.Items("args").Skip(1).Select(argument => argument.ToString())]).Errors);
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void A_server_keeps_its_data_on_a_volume(string name)
    {
        var rendering = Rendering.Load(name);

        Assert.Equal(rendering.HasOperators ? [] : ["messaging", "postgres"], rendering.OfKind("StatefulSet").Select(Rendering.NameOf).Order(StringComparer.Ordinal));
        foreach (var server in rendering.OfKind("StatefulSet"))
        {
            var claim = Assert.Single(server.Items("spec.volumeClaimTemplates"));
            Assert.Contains(Rendering.PodOf(server).Items("containers.0.volumeMounts"), mount => mount.Text("name") == Rendering.NameOf(claim));
        }
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void No_text_looks_like_a_secret(string name)
    {
        var rendering = Rendering.Load(name);

        Assert.Empty(rendering.OfKind("Secret"));
        foreach (var thing in rendering.Objects)
        {
            foreach (var text in Texts(thing))
            {
                // A reference to a variable, $(…), is no secret.
                Assert.DoesNotMatch(@"(?i)(password|passwd|pwd|secret|token)\s*=\s*[^$;\s]", text);
                Assert.DoesNotMatch(@"://[^/\s:@]+:[^$/\s@]+@", text);
                Assert.DoesNotMatch("[0-9a-fA-F]{32,}", text.Replace("sha256:", "", StringComparison.Ordinal).Length == text.Length ? text : "");
                Assert.DoesNotContain("PRIVATE KEY", text, StringComparison.Ordinal);
            }
        }
    }

    private static IEnumerable<string> Texts(JsonNode? node) => node switch
    {
        JsonObject fields => fields.SelectMany(field => Texts(field.Value)),
        JsonArray items => items.SelectMany(Texts),
        null => [],
        _ => [node.ToString()],
    };
}
