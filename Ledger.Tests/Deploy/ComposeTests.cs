using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Ledger.ServiceDefaults;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Deploy;

/// <summary><c>deploy/compose</c> matches the code that it starts and the files that it mounts.</summary>
public sealed partial class ComposeTests
{
    private const string Folder = "deploy/compose";
    private static readonly string[] s_own = [ResourceNames.Migrations, ResourceNames.Api, ResourceNames.Worker];
    private static readonly string s_text = Repository.Read($"{Folder}/compose.yaml");
    private static readonly JsonObject s_file = Yaml.Parse(s_text).Single();
    private static readonly Dictionary<string, JsonNode> s_services = s_file.Fields("services").ToDictionary(service => service.Key, service => service.Value!);

    [Fact]
    public void Services_have_the_resource_names_of_the_app_model() =>
        Assert.Equal(
            [
                ResourceNames.Api, ResourceNames.Grafana, ResourceNames.Messaging, ResourceNames.Migrations,
                ResourceNames.Postgres, ResourceNames.Prometheus, ResourceNames.Worker,
            ],
            s_services.Keys.Order(StringComparer.Ordinal));

    [Fact]
    public void Services_get_their_connection_strings_and_options_that_the_code_reads()
    {
        Assert.Equal([$"ConnectionStrings__{ResourceNames.Database}"], EnvironmentOf(ResourceNames.Migrations).Keys);
        foreach (var service in (string[])[ResourceNames.Api, ResourceNames.Worker])
        {
            var names = EnvironmentOf(service).Keys;
            Assert.Contains($"ConnectionStrings__{ResourceNames.Database}", names);
            Assert.Contains($"ConnectionStrings__{ResourceNames.Messaging}", names);
            Assert.All(
                names.Where(name => !name.StartsWith("ConnectionStrings__", StringComparison.Ordinal)),
                name => Assert.True(
                    name is "ASPNETCORE_ENVIRONMENT" or "OTEL_EXPORTER_OTLP_ENDPOINT" || ServiceOptions.Defaults.ContainsKey(name),
                    $"{service} does not read {name}."));
        }
    }

    [Fact]
    public void Connection_strings_name_the_services_and_ports_of_the_servers()
    {
        var api = EnvironmentOf(ResourceNames.Api);

        Assert.StartsWith($"Host={ResourceNames.Postgres};Port=5432;Database={ResourceNames.Database};", api[$"ConnectionStrings__{ResourceNames.Database}"], StringComparison.Ordinal);
        Assert.EndsWith($"@{ResourceNames.Messaging}:5672", api[$"ConnectionStrings__{ResourceNames.Messaging}"], StringComparison.Ordinal);
        Assert.Equal(ResourceNames.Database, EnvironmentOf(ResourceNames.Postgres)["POSTGRES_DB"]);
    }

    [Fact]
    public void Servers_have_the_images_of_the_app_model()
    {
        var manifest = JsonNode.Parse(Repository.Read("Ledger.Tests/Approved/aspire-manifest.json"));
        foreach (var server in (string[])[ResourceNames.Postgres, ResourceNames.Messaging])
            Assert.Equal(manifest.Text($"resources.{server}.image"), s_services[server].Text("image"));

        var monitoring = Repository.Read("Ledger.AppHost/Monitoring.cs");
        foreach (var server in (string[])[ResourceNames.Prometheus, ResourceNames.Grafana])
        {
            var image = s_services[server].Text("image")!.Replace("docker.io/", "", StringComparison.Ordinal).Split(':');
            Assert.Contains($"\"{image[0]}\", \"{image[1]}\"", monitoring, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Images_have_the_names_that_the_build_gives_them()
    {
        foreach (var (service, project) in (ReadOnlySpan<(string, string)>)[(ResourceNames.Migrations, "Cli"), (ResourceNames.Api, "Api"), (ResourceNames.Worker, "Worker")])
        {
            var name = ImageName().Match(Repository.Read($"Ledger.{project}/Ledger.{project}.csproj")).Groups[1].Value;
            Assert.StartsWith($"${{LEDGER_REGISTRY:-ledger}}/{name}:${{LEDGER_VERSION:?", s_services[service].Text("image"), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Secrets_have_no_default_and_ports_are_bound_to_loopback()
    {
        foreach (var secret in Secrets)
            Assert.All(Variable().Matches(s_text).Where(match => match.Groups["name"].Value == secret), match => Assert.StartsWith(":?", match.Groups["rest"].Value, StringComparison.Ordinal));
        Assert.All(
            s_services.Values.SelectMany(service => List(service, "ports")),
            port => Assert.StartsWith("${LEDGER_BIND:-127.0.0.1}:", port, StringComparison.Ordinal));
    }

    [Fact]
    public void The_example_environment_has_every_variable_with_its_default_and_no_secret()
    {
        var example = Repository.Read($"{Folder}/.env.example").Split('\n')
            .Where(line => line.Length > 0 && line[0] != '#')
            .Select(line => line.Split('=', 2))
            .ToDictionary(parts => parts[0], parts => parts[1]);

        Assert.Equal(
            Variable().Matches(s_text).Select(match => match.Groups["name"].Value).Distinct().Order(StringComparer.Ordinal),
            example.Keys.Order(StringComparer.Ordinal));
        Assert.All(
            Variable().Matches(s_text).Where(match => match.Groups["rest"].Value.StartsWith(":-", StringComparison.Ordinal)),
            match => Assert.Equal(match.Groups["rest"].Value[2..], example[match.Groups["name"].Value]));
        Assert.All(Secrets, secret => Assert.Equal("", example[secret]));
    }

    [Fact]
    public void Health_checks_ask_the_port_that_the_image_listens_on()
    {
        var targets = Repository.Read("Directory.Build.targets");
        Assert.Contains("""Include="ASPNETCORE_HTTP_PORTS" Value="8080" """.TrimEnd(), targets, StringComparison.Ordinal);
        Assert.Contains($"""<ContainerPort Include="8080;{new MetricsOptions().Port}" """.TrimEnd(), targets, StringComparison.Ordinal);

        Assert.Equal(["CMD", "dotnet", "/app/Ledger.Api.dll", "health", "http://localhost:8080/health"], HealthCheck(ResourceNames.Api));
        Assert.Equal(["CMD", "dotnet", "/app/Ledger.Worker.dll", "health", "http://localhost:8080/health"], HealthCheck(ResourceNames.Worker));
        Assert.Equal("${LEDGER_BIND:-127.0.0.1}:${LEDGER_PORT:-8080}:8080", Assert.Single(List(s_services[ResourceNames.Api], "ports")));
        // docker compose up --wait needs a health check of every long-running service.
        Assert.All(s_services, service => Assert.True(service.Key == ResourceNames.Migrations || service.Value.At("healthcheck.test") is not null, $"{service.Key} has no health check."));
    }

    [Fact]
    public void Prometheus_scrapes_the_services_on_their_metrics_port()
    {
        var port = new MetricsOptions().Port.ToString(CultureInfo.InvariantCulture);
        var jobs = Yaml.Parse(Repository.Read("deploy/prometheus/prometheus.yml")).Single().Items("scrape_configs").ToDictionary(job => job.Text("job_name")!);

        Assert.All(jobs.Keys, job => Assert.Contains(job, s_services.Keys));
        foreach (var service in (string[])[ResourceNames.Api, ResourceNames.Worker])
        {
            var discovery = Assert.Single(jobs[service].Items("dns_sd_configs"));
            Assert.Equal((service, port), (Assert.Single(List(discovery, "names")), discovery.Text("port")));
        }
    }

    [Fact]
    public void Dependencies_and_mounts_exist()
    {
        var volumes = s_file.Fields("volumes").Select(volume => volume.Key).ToList();
        foreach (var (name, service) in s_services)
        {
            Assert.All(service.Fields("depends_on"), dependency => Assert.Contains(dependency.Key, s_services.Keys));
            foreach (var volume in List(service, "volumes").Select(volume => volume.Split(':')[0]))
            {
                if (volume[0] == '.')
                    Assert.True(Directory.Exists(Repository.PathOf($"{Folder}/{volume}")), $"{name} mounts {volume}, which does not exist.");
                else
                    Assert.Contains(volume, volumes);
            }
        }
    }

    [Fact]
    public void A_service_starts_after_the_migrations_and_has_time_to_finish_its_work()
    {
        foreach (var name in (string[])[ResourceNames.Api, ResourceNames.Worker])
        {
            var service = s_services[name];
            Assert.Equal("service_completed_successfully", service.Text($"depends_on.{ResourceNames.Migrations}.condition"));
            Assert.Equal("service_healthy", service.Text($"depends_on.{ResourceNames.Messaging}.condition"));
            var grace = int.Parse(service.Text("stop_grace_period")!.TrimEnd('s'), CultureInfo.InvariantCulture);
            Assert.True(grace > ServiceDefaultsSetup.ShutdownSeconds);
        }
    }

    [Fact]
    public void Ledgers_containers_are_read_only_and_unprivileged()
    {
        foreach (var service in s_own.Select(name => s_services[name]))
        {
            Assert.Equal("true", service.Text("read_only"));
            Assert.Equal(["ALL"], List(service, "cap_drop"));
            Assert.Equal(["no-new-privileges:true"], List(service, "security_opt"));
        }
    }

    private static IEnumerable<string> Secrets =>
        Variable().Matches(s_text).Select(match => match.Groups["name"].Value).Where(name => name.EndsWith("PASSWORD", StringComparison.Ordinal)).Distinct();

    private static Dictionary<string, string> EnvironmentOf(string service) =>
        s_services[service].Fields("environment").ToDictionary(variable => variable.Key, variable => variable.Value!.ToString());

    private static IEnumerable<string> HealthCheck(string service) => List(s_services[service], "healthcheck.test");

    private static IEnumerable<string> List(JsonNode? node, string path) => node.Items(path).Select(item => item.ToString());

    /// <summary>Compose's own variables: <c>${NAME:-default}</c>, <c>${NAME:?what to do}</c>.</summary>
    [GeneratedRegex(@"\$\{(?<name>[A-Z_]+)(?<rest>[^}]*)\}")]
    private static partial Regex Variable();

    [GeneratedRegex("<ImageName>(.*)</ImageName>")]
    private static partial Regex ImageName();
}
