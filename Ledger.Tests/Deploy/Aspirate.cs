using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using HandlebarsDotNet;

namespace Ledger.Tests.Deploy;

/// <summary>
/// Renders an Aspire manifest like <c>aspirate generate --disable-secrets</c>: with Aspirate's template engine and the values
/// that Aspirate 9.1 passes to it. Supports what Ledger's manifest uses.
/// </summary>
public static partial class Aspirate
{
    private const string Namespace = "ledger";
    private const string PullPolicy = "IfNotPresent";

    // Stands for the passwords that Aspirate generates. No template may print them.
    public const string Password = "this-must-not-be-published";

    private static readonly string[] s_secrets = ["ConnectionString", "POSTGRES_PASSWORD", "MSSQL_SA_PASSWORD"];

    /// <summary>The contents of the generated files by their names relative to the output folder.</summary>
    /// <param name="images">The projects' images by resource name.</param>
    public static SortedDictionary<string, string> Generate(string manifest, string templates, IReadOnlyDictionary<string, string> images)
    {
        var resources = JsonNode.Parse(File.ReadAllText(manifest))!["resources"]!.AsObject();
        var files = new SortedDictionary<string, string>(StringComparer.Ordinal);
        var deployed = new List<string>();
        foreach (var (name, resource) in resources)
        {
            var isProject = (string?)resource!["type"] == "project.v0";
            if (!isProject && (string?)resource["type"] != "container.v0")
                continue;

            var volumes = Items(resource["volumes"])
                .Select(volume => new { Name = (string?)volume!["name"], Target = (string?)volume["target"] }).ToList();
            var workload = volumes.Count > 0 ? "statefulset" : "deployment";
            var environment = (resource["env"]?.AsObject() ?? [])
                .ToDictionary(variable => variable.Key, variable => Resolve((string)variable.Value!, resources));
            var ports = (resource["bindings"]?.AsObject() ?? [])
                .Select(binding => new { Name = binding.Key, InternalPort = TargetPort(binding.Key, binding.Value!), ExternalPort = 0 }).ToList();
            var args = Items(resource["args"]).Select(argument => (string?)argument).ToList();
            var secrets = environment
                .Where(variable => s_secrets.Any(prefix => variable.Key.StartsWith(prefix, StringComparison.Ordinal)))
                .ToDictionary();
            var data = new
            {
                Name = name,
                Env = environment,
                Secrets = secrets,
                Annotations = new Dictionary<string, string>(),
                Volumes = volumes,
                Ports = ports,
                Manifests = (string[])[$"{workload}.yaml", "service.yaml"],
                Args = args,
                SecretsDisabled = true,
                IsProject = isProject,
                WithPrivateRegistry = false,
                WithDashboard = false,
                ContainerImage = isProject ? images[name] : (string?)resource["image"],
                ImagePullPolicy = PullPolicy,
                ServiceType = "ClusterIP",
                HasPorts = ports.Count > 0,
                HasVolumes = volumes.Count > 0,
                HasAnySecrets = false,
                HasAnyAnnotations = false,
                HasArgs = args.Count > 0,
                HasAnyEnv = environment.Count > 0,
                WithNamespace = false,
            };
            foreach (var template in (string[])[workload, "service", "kustomization"])
                files[$"{name}/{template}.yaml"] = Render(templates, template, data);
            deployed.Add(name);
        }

        var whole = new { Namespace, WithNamespace = true, WithPrivateRegistry = false, HasAnyEnv = false, Manifests = deployed.Append("namespace.yaml").ToList() };
        files["namespace.yaml"] = Render(templates, "namespace", whole);
        files["kustomization.yaml"] = Render(templates, "kustomization", whole);
        return files;
    }

    private static string Render(string templates, string name, object data) =>
        Handlebars.Compile(File.ReadAllText(Path.Combine(templates, $"{name}.hbs")))(data);

    private static JsonArray Items(JsonNode? list) => list?.AsArray() ?? [];

    private static int TargetPort(string name, JsonNode binding) =>
        (int?)binding["targetPort"] ?? name switch { "http" => 8080, "https" => 8443, _ => 0 };

    /// <summary>Replaces expressions such as <c>{api.bindings.http.targetPort}</c>, whose values may contain further ones.</summary>
    private static string Resolve(string text, JsonObject resources) =>
        Expression().Replace(text, match => match.Groups[1].Value.Split('.') switch
        {
            [var name, "bindings", _, "host"] => name,
            [var name, "bindings", var binding, "port" or "targetPort"] => $"{TargetPort(binding, resources[name]!["bindings"]![binding]!)}",
            [var name, "connectionString"] => Resolve((string)resources[name]!["connectionString"]!, resources),
            [_, "value"] => Password,
            _ => throw new NotSupportedException($"Expression {match.Value} in the Aspire manifest."),
        });

    [GeneratedRegex(@"\{([^{}]+)\}")]
    private static partial Regex Expression();
}
