using System.Text.Json.Nodes;
using Ledger.Api.Edge;
using Ledger.Api.Identity;
using Ledger.Api.Transactions;
using Ledger.ServiceDefaults;
using Ledger.Tests.Harness;
using Ledger.Worker.Posting;
using Ledger.Worker.Verification;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Ledger.Tests.Deploy;

/// <summary>Ports, probes, options and secrets in the manifests match the code.</summary>
public sealed class ContractTests
{
    private const int HttpPort = 8080;

    private static readonly Dictionary<string, Type> s_options = new()
    {
        ["Gateway"] = typeof(GatewayOptions),
        ["Http"] = typeof(HttpOptions),
        ["Identity"] = typeof(IdentitySettings),
        ["Metrics"] = typeof(MetricsOptions),
        ["Telemetry"] = typeof(TelemetryOptions),
        ["Verification"] = typeof(VerificationOptions),
        ["Worker"] = typeof(WorkerOptions),
    };

    private static readonly string[] s_connections = [ResourceNames.Database, ResourceNames.Messaging];

    public static TheoryData<string> Renderings => Rendering.Names;

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Services_listen_on_the_ports_of_the_manifests(string name)
    {
        var rendering = Rendering.Load(name);

        foreach (var service in rendering.Services)
        {
            var ports = Rendering.PodOf(service).Items("containers.0.ports").ToDictionary(port => port.Text("name")!, port => (int)port.At("containerPort")!);
            Assert.Equal(new() { ["http"] = HttpPort, ["metrics"] = new MetricsOptions().Port }, ports);
            Assert.Equal($"{HttpPort}", Variables(rendering, service).Single(variable => variable.Key == "HTTP_PORTS").Value);
        }
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public async Task Probes_request_paths_that_the_services_answer(string name)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddHealthChecks();
        await using var app = builder.Build();
        app.MapServiceHealth();
        var answered = ((IEndpointRouteBuilder)app).DataSources.SelectMany(source => source.Endpoints).Cast<RouteEndpoint>()
            .Select(endpoint => endpoint.RoutePattern.RawText).ToList();

        foreach (var container in Rendering.Load(name).Services.Select(service => Rendering.PodOf(service).At("containers.0")!))
        {
            Assert.Equal("/health", container.Text("startupProbe.httpGet.path"));
            // An API without RabbitMQ still answers reads and 202, so it stays in its service.
            Assert.Equal("/alive", container.Text("readinessProbe.httpGet.path"));
            Assert.Equal("/alive", container.Text("livenessProbe.httpGet.path"));
            Assert.All((string[])["startupProbe", "readinessProbe", "livenessProbe"], probe => Assert.Contains(container.Text($"{probe}.httpGet.path"), answered));
        }
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void Every_variable_is_read_by_the_code(string name)
    {
        var rendering = Rendering.Load(name);

        foreach (var workload in rendering.Services.Concat(rendering.OfKind("Job")))
        {
            foreach (var (variable, _) in Variables(rendering, workload))
            {
                Assert.True(
                    variable.Split("__") switch
                    {
                        ["ConnectionStrings", var connection] => s_connections.Contains(connection),
                        ["Ledger", "SelfServiceDeposits" or "SelfServiceDepositLimit"] => true,
                        ["Ledger", var section, var option] => s_options.GetValueOrDefault(section)?.GetProperty(option) is not null,
                        [var plain] => plain is "HTTP_PORTS" || plain.StartsWith("OTEL_", StringComparison.Ordinal)
                            || IsReferredTo(workload, plain),
                        _ => false,
                    },
                    $"{rendering.Describe(workload)} sets {variable}, which the code does not read.");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void A_service_gets_both_connections_and_the_migrations_get_the_database(string name)
    {
        var rendering = Rendering.Load(name);

        foreach (var service in rendering.Services)
            Assert.Equal(s_connections, ConnectionsOf(Rendering.PodOf(service).At("containers.0")!));
        foreach (var container in rendering.Services.Select(service => Rendering.PodOf(service).At("initContainers.0")!).Append(Rendering.PodOf(Assert.Single(rendering.OfKind("Job"))).At("containers.0")!))
            Assert.Equal([ResourceNames.Database], ConnectionsOf(container));

        static IEnumerable<string> ConnectionsOf(JsonNode container) => container.Items("env")
            .Select(variable => variable.Text("name")!).Where(variable => variable.StartsWith("ConnectionStrings__", StringComparison.Ordinal))
            .Select(variable => variable["ConnectionStrings__".Length..]).Order(StringComparer.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Renderings))]
    public void A_variable_follows_those_that_it_refers_to(string name)
    {
        foreach (var container in Rendering.Load(name).Workloads.SelectMany(Rendering.ContainersOf))
        {
            var known = new HashSet<string>();
            foreach (var variable in container.Items("env"))
            {
                Assert.All((variable.Text("value") ?? "").Split("$(").Skip(1), reference => Assert.Contains(reference[..reference.IndexOf(')')], known));
                known.Add(variable.Text("name")!);
            }
        }
    }

    [Fact]
    public async Task The_script_for_the_secret_writes_the_keys_that_the_manifests_read()
    {
        var secret = Assert.Single(Yaml.Parse(await Repository.OutputOfAsync("bash", "deploy/create-secret.sh", "--print")));
        var keys = secret.Fields("stringData").Select(field => field.Key).Order(StringComparer.Ordinal).ToList();

        var read = new HashSet<string>();
        foreach (var rendering in Rendering.Names.Select(row => Rendering.Load(row)).Where(rendering => !rendering.HasOperators))
        {
            var references = rendering.Workloads.SelectMany(Rendering.ContainersOf).SelectMany(container => container.Items("env"))
                .Select(variable => variable.At("valueFrom.secretKeyRef")).OfType<JsonNode>()
                .Concat(rendering.OfKind("TriggerAuthentication").SelectMany(authentication => authentication.Items("spec.secretTargetRef"))).ToList();
            Assert.All(references, reference => Assert.Equal(Rendering.NameOf(secret), reference.Text("name")));
            read.UnionWith(references.Select(reference => reference.Text("key")!));
        }
        Assert.Equal(keys, read.Order(StringComparer.Ordinal));
        // The connection strings name the services of the manifests.
        Assert.Contains($"Host={ResourceNames.Postgres};", secret.Text("stringData.ConnectionStrings__ledgerdb"), StringComparison.Ordinal);
        Assert.Equal($"{ResourceNames.Messaging}.{secret.Text("metadata.namespace")}.svc", new Uri(secret.Text("stringData.ConnectionStrings__messaging")!).Host);
    }

    [Fact]
    public void The_ingress_has_the_body_limit_of_the_API_and_redirects_to_TLS()
    {
        var annotations = Rendering.Load("production").The("Ingress", "api").At("metadata.annotations")!;

        Assert.Equal($"{new HttpOptions().MaxBodyBytes / 1024}k", annotations["nginx.ingress.kubernetes.io/proxy-body-size"]!.ToString());
        Assert.Contains($"proxy-body-size: {annotations["nginx.ingress.kubernetes.io/proxy-body-size"]}\n", Repository.Read("deploy/helm/ledger/values.yaml"), StringComparison.Ordinal);
        Assert.Equal("true", annotations["nginx.ingress.kubernetes.io/ssl-redirect"]!.ToString());
    }

    [Fact]
    public void The_PrometheusRule_has_the_tested_rules() => Assert.True(JsonNode.DeepEquals(
        Assert.Single(Yaml.Parse(Repository.Read("deploy/prometheus/ledger.rules.yml"))).At("groups"),
        Rendering.Load("production").The("PrometheusRule", "ledger").At("spec.groups")));

    /// <summary>The variables of a workload's containers, including those of its ConfigMaps.</summary>
    private static IEnumerable<KeyValuePair<string, string?>> Variables(Rendering rendering, JsonObject workload) =>
        Rendering.ContainersOf(workload).SelectMany(container => container.Items("env").Select(variable => KeyValuePair.Create(variable.Text("name")!, variable.Text("value")))
            .Concat(container.Items("envFrom").SelectMany(source => rendering.The("ConfigMap", source.Text("configMapRef.name")!).Fields("data"))
                .Select(entry => KeyValuePair.Create(entry.Key, entry.Value?.ToString()))));

    private static bool IsReferredTo(JsonObject workload, string variable) => Rendering.ContainersOf(workload)
        .SelectMany(container => container.Items("env")).Any(other => other.Text("value")?.Contains($"$({variable})", StringComparison.Ordinal) == true);
}
