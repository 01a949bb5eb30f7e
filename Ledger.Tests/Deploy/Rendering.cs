using System.Text.Json.Nodes;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Deploy;

/// <summary>The objects of one deployment, as approved in <c>Ledger.Tests/Approved/kubernetes</c>.</summary>
public sealed class Rendering
{
    private Rendering(string name, IReadOnlyList<JsonObject> objects) => (Name, Objects) = (name, objects);

    /// <summary>The names of the approved deployments, for theories.</summary>
    public static TheoryData<string> Names => [.. Directory.GetFiles(Repository.PathOf("Ledger.Tests/Approved/kubernetes"), "*.yaml")
        .Select(file => Path.GetFileNameWithoutExtension(file)).Where(name => !name.EndsWith(".received", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

    public string Name { get; }

    public IReadOnlyList<JsonObject> Objects { get; }

    /// <summary>Whether operators create PostgreSQL and RabbitMQ from custom resources.</summary>
    public bool HasOperators => OfKind("RabbitmqCluster").Any();

    public static Rendering Load(string name) => new(name, Yaml.Parse(Repository.Read($"Ledger.Tests/Approved/kubernetes/{name}.yaml")));

    public IEnumerable<JsonObject> OfKind(params string[] kinds) => Objects.Where(thing => kinds.Contains(thing.Text("kind")));

    /// <summary>The only object of a kind and name.</summary>
    public JsonObject The(string kind, string name) => OfKind(kind).Single(thing => NameOf(thing) == name);

    public bool Has(string kind, string? name) => OfKind(kind).Any(thing => NameOf(thing) == name);

    /// <summary>The objects that run pods.</summary>
    public IEnumerable<JsonObject> Workloads => OfKind("Deployment", "StatefulSet", "Job");

    /// <summary>The API and the worker.</summary>
    public IEnumerable<JsonObject> Services => OfKind("Deployment").Where(deployment => NameOf(deployment) is "api" or "worker");

    public static string? NameOf(JsonNode thing) => thing.Text("metadata.name");

    /// <summary>Deployment, kind and name, for messages.</summary>
    public string Describe(JsonNode thing) => $"{Name}: {thing.Text("kind")} {NameOf(thing)}";

    public static JsonNode PodOf(JsonObject workload) => workload.At("spec.template.spec")!;

    /// <summary>The workload's init containers and containers.</summary>
    public static IEnumerable<JsonNode> ContainersOf(JsonObject workload) =>
        PodOf(workload).Items("initContainers").Concat(PodOf(workload).Items("containers"));

    /// <summary>The workloads whose pods match a selector.</summary>
    public IEnumerable<JsonObject> Selected(JsonNode? selector)
    {
        return Workloads.Where(workload =>
            selector.Fields("matchLabels").All(label => LabelOf(workload, label.Key) == label.Value!.ToString())
            && selector.Items("matchExpressions").All(expression =>
                expression.Text("operator") == "In" && expression.Items("values").Any(value => value.ToString() == LabelOf(workload, expression.Text("key")!))));

        static string? LabelOf(JsonObject workload, string key) => workload.At("spec.template.metadata.labels")?[key]?.ToString();
    }

    /// <summary>
    /// Compares rendered documents with the approved copy in <c>Ledger.Tests/Approved/kubernetes</c>. To approve a difference,
    /// replace the copy with the <c>.received.yaml</c> beside it.
    /// </summary>
    public static async Task ApproveAsync(string name, string rendered)
    {
        var approved = Repository.PathOf($"Ledger.Tests/Approved/kubernetes/{name}.yaml");
        var received = Path.ChangeExtension(approved, ".received.yaml");
        await File.WriteAllTextAsync(received, rendered, TestContext.Current.CancellationToken);
        Assert.Equal(Canonical(File.Exists(approved) ? await File.ReadAllTextAsync(approved, TestContext.Current.CancellationToken) : ""), Canonical(rendered));
        File.Delete(received);
    }

    // The order of documents and fields depends on the renderer's version.
    private static string Canonical(string yaml) =>
        string.Join('\n', Yaml.Parse(yaml).Select(document => Sorted(document)!.ToJsonString()).Order(StringComparer.Ordinal));

    private static JsonNode? Sorted(JsonNode? node) => node switch
    {
        JsonObject fields => new JsonObject(fields.OrderBy(field => field.Key, StringComparer.Ordinal).Select(field => KeyValuePair.Create(field.Key, Sorted(field.Value)))),
        JsonArray items => new JsonArray([.. items.Select(Sorted)]),
        _ => node?.DeepClone(),
    };
}
