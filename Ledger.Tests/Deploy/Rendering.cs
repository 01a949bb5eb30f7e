using System.Text.Json.Nodes;

namespace Ledger.Tests.Deploy;

/// <summary>Everything that one way to deploy Ledger creates, as approved in <c>Ledger.Tests/Approved/kubernetes</c>.</summary>
public sealed class Rendering
{
    private Rendering(string name, IReadOnlyList<JsonObject> objects) => (Name, Objects) = (name, objects);

    /// <summary>The ways to deploy, for theories.</summary>
    public static TheoryData<string> Names => [.. Directory.GetFiles(Repository.PathOf("Ledger.Tests/Approved/kubernetes"), "*.yaml")
        .Select(file => Path.GetFileNameWithoutExtension(file)).Where(name => !name.EndsWith(".received", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

    public string Name { get; }

    public IReadOnlyList<JsonObject> Objects { get; }

    /// <summary>Whether PostgreSQL and RabbitMQ are made by operators from resources of their own.</summary>
    public bool HasOperators => OfKind("RabbitmqCluster").Any();

    public static Rendering Load(string name) => new(name, Yaml.Parse(Repository.Read($"Ledger.Tests/Approved/kubernetes/{name}.yaml")));

    public IEnumerable<JsonObject> OfKind(params string[] kinds) => Objects.Where(thing => kinds.Contains(thing.Text("kind")));

    /// <summary>The object of that kind and name; fails where there is none, or more than one.</summary>
    public JsonObject The(string kind, string name) => OfKind(kind).Single(thing => NameOf(thing) == name);

    public bool Has(string kind, string? name) => OfKind(kind).Any(thing => NameOf(thing) == name);

    /// <summary>Whatever runs pods.</summary>
    public IEnumerable<JsonObject> Workloads => OfKind("Deployment", "StatefulSet", "Job");

    /// <summary>The API and the worker.</summary>
    public IEnumerable<JsonObject> Services => OfKind("Deployment").Where(deployment => NameOf(deployment) is "api" or "worker");

    public static string? NameOf(JsonNode thing) => thing.Text("metadata.name");

    /// <summary>For messages: what, and where.</summary>
    public string Describe(JsonNode thing) => $"{Name}: {thing.Text("kind")} {NameOf(thing)}";

    public static JsonNode PodOf(JsonObject workload) => workload.At("spec.template.spec")!;

    /// <summary>The workload's containers, those before its start among them.</summary>
    public static IEnumerable<JsonNode> ContainersOf(JsonObject workload) =>
        PodOf(workload).Items("initContainers").Concat(PodOf(workload).Items("containers"));

    /// <summary>The workloads whose pods a selector selects.</summary>
    public IEnumerable<JsonObject> Selected(JsonNode? selector)
    {
        return Workloads.Where(workload =>
            selector.Fields("matchLabels").All(label => LabelOf(workload, label.Key) == label.Value!.ToString())
            && selector.Items("matchExpressions").All(expression =>
                expression.Text("operator") == "In" && expression.Items("values").Any(value => value.ToString() == LabelOf(workload, expression.Text("key")!))));

        static string? LabelOf(JsonObject workload, string key) => workload.At("spec.template.metadata.labels")?[key]?.ToString();
    }
}
