using System.Text.Json.Nodes;

namespace Ledger.Tests.Deploy;

/// <summary><c>deploy/ledger.sh</c>, with a <c>kubectl</c> that knows the worker of each way to deploy and writes down what it is asked to run.</summary>
public sealed class ToolInClusterTests
{
    // Answers with the field that jsonpath asks for, from a file named like it.
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
    public async Task It_runs_as_the_worker_does_and_waits_for_the_schema_as_it_does(string rendering)
    {
        var worker = Rendering.PodOf(Rendering.Load(rendering).The("Deployment", "worker"));
        var waiting = worker.Items("initContainers").First();

        var (arguments, pod) = await RunAsync(worker, "verify", "--rows", "3");

        Assert.Equal(["--", "verify", "--rows", "3"], arguments[^4..]);
        Assert.Contains(waiting.Text("image"), arguments);
        Assert.Contains("app=cli", arguments);
        MustBe(worker["initContainers"], pod["initContainers"]);
        MustBe(worker["volumes"], pod["volumes"]);
        MustBe(worker["securityContext"], pod["securityContext"]);
        var container = Assert.Single(pod.Items("containers"));
        foreach (var field in (string[])["env", "volumeMounts", "resources", "securityContext"])
            MustBe(waiting[field], container[field]);
    }

    /// <summary>The schema that others wait for is what it brings.</summary>
    [Theory]
    [MemberData(nameof(Renderings))]
    public async Task It_waits_for_no_schema_where_it_migrates(string rendering)
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
                // As kubectl: a text as it is, everything else as JSON.
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

    private static void MustBe(JsonNode? wanted, JsonNode? given) =>
        Assert.True(JsonNode.DeepEquals(wanted, given), $"{wanted?.ToJsonString()} expected, got {given?.ToJsonString()}");
}
