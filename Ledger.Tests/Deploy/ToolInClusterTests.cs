using System.Text.Json.Nodes;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Deploy;

/// <summary><c>deploy/ledger.sh</c> against a fake <c>kubectl</c>, which returns fields of a rendering's worker and prints its own arguments.</summary>
public sealed class ToolInClusterTests
{
    // Returns the field that jsonpath names from a file of that name.
    private const string Kubectl = """
        #!/usr/bin/env bash
        if [[ " $* " == *" get deployment worker "* ]]; then
            field=${!#} && field=${field#*spec.template.spec.} && field=${field%\}}
            [[ ! -f $FIELDS/$field ]] || cat "$FIELDS/$field"
        else
            printf '%s\0' "$@"
        fi
        """;

    public static TheoryData<string> Renderings => Rendering.Names;

    [Theory]
    [MemberData(nameof(Renderings))]
    public async Task The_tool_runs_with_the_workers_settings_and_waits_for_the_schema(string rendering)
    {
        var worker = Rendering.PodOf(Rendering.Load(rendering).The("Deployment", "worker"));
        var waiting = worker.Items("initContainers").First();

        var (arguments, pod) = await RunAsync(worker, "verify", "--rows", "3");

        Assert.Equal(["--", "verify", "--rows", "3"], arguments[^4..]);
        Assert.Contains(waiting.Text("image"), arguments);
        Assert.Contains("app=cli", arguments);
        MustEqual(worker["initContainers"], pod["initContainers"]);
        MustEqual(worker["volumes"], pod["volumes"]);
        MustEqual(worker["securityContext"], pod["securityContext"]);
        var container = Assert.Single(pod.Items("containers"));
        foreach (var field in (string[])["env", "volumeMounts", "resources", "securityContext"])
            MustEqual(waiting[field], container[field]);
    }

    /// <summary>The migrations create the schema that other pods wait for.</summary>
    [Theory]
    [MemberData(nameof(Renderings))]
    public async Task Migrate_does_not_wait_for_the_schema(string rendering)
    {
        var worker = Rendering.PodOf(Rendering.Load(rendering).The("Deployment", "worker"));

        var (_, pod) = await RunAsync(worker, "migrate");

        Assert.Empty(pod.Items("initContainers"));
    }

    private static async Task<(string[] Arguments, JsonNode Pod)> RunAsync(JsonNode worker, params string[] command)
    {
        var folder = Directory.CreateTempSubdirectory("ledger-kubectl-");
        try
        {
            var kubectl = Path.Combine(folder.FullName, "kubectl");
            await File.WriteAllTextAsync(kubectl, Kubectl, TestContext.Current.CancellationToken);
            if (!OperatingSystem.IsWindows())
                File.SetUnixFileMode(kubectl, UnixFileMode.UserRead | UnixFileMode.UserExecute);
            var waiting = worker.Items("initContainers").First();
            var answers = worker.AsObject().Select(field => (field.Key, field.Value))
                .Concat(waiting.AsObject().Select(field => ($"initContainers[0].{field.Key}", field.Value)));
            foreach (var (field, value) in answers)
            {
                // Like kubectl: strings as they are, everything else as JSON.
                var text = value is JsonValue scalar && scalar.TryGetValue<string>(out var words) ? words : value!.ToJsonString();
                await File.WriteAllTextAsync(Path.Combine(folder.FullName, field), text, TestContext.Current.CancellationToken);
            }

            var (exitCode, output, errors) = await Repository.RunAsync(Repository.PathOf("deploy/ledger.sh"), command, new Dictionary<string, string>
            {
                ["PATH"] = $"{folder.FullName}{Path.PathSeparator}{Environment.GetEnvironmentVariable("PATH")}",
                ["FIELDS"] = folder.FullName,
            });

            Assert.True(exitCode == 0, output + errors);
            var arguments = output.TrimEnd('\0').Split('\0');
            return (arguments, JsonNode.Parse(arguments[Array.IndexOf(arguments, "--overrides") + 1])!["spec"]!);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static void MustEqual(JsonNode? wanted, JsonNode? given) =>
        Assert.True(JsonNode.DeepEquals(wanted, given), $"{wanted?.ToJsonString()} expected, got {given?.ToJsonString()}");
}
