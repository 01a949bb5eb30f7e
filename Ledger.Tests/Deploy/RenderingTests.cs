using Ledger.Tests.Harness;

namespace Ledger.Tests.Deploy;

/// <summary>Generated manifests equal the committed ones.</summary>
public sealed class RenderingTests
{
    private static readonly Dictionary<string, string> s_images = new()
    {
        ["api"] = $"ledger/api:{Repository.Version}",
        ["worker"] = $"ledger/worker:{Repository.Version}",
        ["migrations"] = $"ledger/cli:{Repository.Version}",
    };

    /// <summary>To approve a difference, run <c>deploy/generate.sh</c> or copy the files from <c>Ledger.Tests/Approved/aspirate.received.output</c>.</summary>
    [Fact]
    public void Aspirate_output_equals_the_templates_rendered_with_the_approved_manifest()
    {
        var received = Repository.PathOf("Ledger.Tests/Approved/aspirate.received.output");
        var files = Aspirate.Generate(
            Repository.PathOf("Ledger.Tests/Approved/aspire-manifest.json"), Repository.PathOf("deploy/aspirate"), s_images);
        foreach (var (name, text) in files)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(received, name))!);
            File.WriteAllText(Path.Combine(received, name), text);
        }

        var committed = Repository.PathOf("aspirate-output");
        Assert.Equal(files.Keys, Directory.GetFiles(committed, "*", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(committed, file).Replace('\\', '/')).Order(StringComparer.Ordinal));
        Assert.All(files, file => Assert.Equal(file.Value, File.ReadAllText(Path.Combine(committed, file.Key))));
        Assert.All(files, file => Assert.DoesNotContain(Aspirate.Password, file.Value, StringComparison.Ordinal));
        Directory.Delete(received, recursive: true);
    }

    [Fact]
    public void The_folder_has_all_seven_templates_that_Aspirate_reads() => Assert.Equal(
        ["dapr-component", "dashboard", "deployment", "kustomization", "namespace", "service", "statefulset"],
        Directory.GetFiles(Repository.PathOf("deploy/aspirate"), "*.hbs").Select(Path.GetFileNameWithoutExtension).Order(StringComparer.Ordinal));

    [Theory]
    [InlineData("aspirate-output", "aspirate-output")]
    [InlineData("minikube", "deploy/overlays/minikube")]
    [InlineData("production", "deploy/overlays/production")]
    public async Task Kustomize_renders_the_approved_documents(string name, string folder) =>
        await Rendering.ApproveAsync(name, await Repository.OutputOfAsync("kubectl", "kustomize", folder));

    [Fact]
    public async Task Helm_renders_the_approved_documents() =>
        await Rendering.ApproveAsync("helm", await TemplateAsync());

    [Fact]
    public async Task Helm_with_KEDA_renders_the_approved_documents() => await Rendering.ApproveAsync("helm-keda", await TemplateAsync(
        "--set", "worker.autoscaling.keda.enabled=true,worker.autoscaling.keda.prometheus=http://prometheus-operated.monitoring.svc:9090"));

    [Fact]
    public async Task Helm_keeps_the_notation_of_a_number_in_a_values_file()
    {
        var values = Path.GetTempFileName();
        await File.WriteAllTextAsync(values, "config: { Ledger__Http__MaxBodyBytes: 1048576, Ledger__Verification__Enabled: true }", TestContext.Current.CancellationToken);

        var data = Yaml.Parse(await TemplateAsync("--values", values)).Single(thing => Rendering.NameOf(thing) == "api-env").At("data");

        Assert.Equal(["1048576", "true"], ((string[])["Ledger__Http__MaxBodyBytes", "Ledger__Verification__Enabled"]).Select(data.Text));
        File.Delete(values);
    }

    [Theory]
    [InlineData("postgres.enabled=false,messaging.enabled=false", "StatefulSet")]
    [InlineData("networkPolicy.enabled=false", "NetworkPolicy")]
    public async Task A_switch_of_the_chart_removes_its_objects(string values, string kind) =>
        Assert.DoesNotContain(Yaml.Parse(await TemplateAsync("--set", values)), thing => thing.Text("kind") == kind);

    [Theory]
    [InlineData("ingress.enabled=true", "Ingress")]
    [InlineData("worker.autoscaling.keda.enabled=true", "ScaledObject")]
    [InlineData("monitoring.podMonitor=true", "PodMonitor")]
    public async Task A_switch_of_the_chart_adds_its_objects(string values, string kind) =>
        Assert.Contains(Yaml.Parse(await TemplateAsync("--set", values)), thing => thing.Text("kind") == kind);

    [Fact]
    public async Task Helm_lint_finds_nothing() => await HelmAsync("lint", "--strict", "deploy/helm/ledger");

    // The oldest Kubernetes that the chart admits, so that Helm's own default does not matter.
    private static Task<string> TemplateAsync(params string[] arguments) =>
        HelmAsync(["template", "ledger", "deploy/helm/ledger", "--namespace", "ledger", "--kube-version", "1.30.0", .. arguments]);

    private static async Task<string> HelmAsync(params string[] arguments)
    {
        var (exitCode, output, errors) = await Repository.RunAsync(Repository.PathOf("scripts/helm.sh"), arguments);
        Assert.SkipWhen(exitCode == 77, errors.Trim());
        Assert.True(exitCode == 0, $"helm {string.Join(' ', arguments)} ended with exit code {exitCode}.\n{output}\n{errors}");
        return output;
    }

    [Theory]
    [MemberData(nameof(Rendering.Names), MemberType = typeof(Rendering))]
    public void Every_document_is_an_object_with_a_unique_kind_and_name(string name)
    {
        var rendering = Rendering.Load(name);

        Assert.All(rendering.Objects, thing => Assert.False(
            string.IsNullOrEmpty(thing.Text("apiVersion")) || string.IsNullOrEmpty(thing.Text("kind")) || string.IsNullOrEmpty(Rendering.NameOf(thing))));
        Assert.Equal(rendering.Objects.Count, rendering.Objects.Select(thing => (thing.Text("kind"), Rendering.NameOf(thing))).Distinct().Count());
    }
}
