using System.Text.RegularExpressions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Workflows;

/// <summary><c>.github/workflows</c>: permissions, pinned actions, the scripts they run, and their syntax.</summary>
public sealed partial class WorkflowTests
{
    public static TheoryData<string> Workflows { get; } =
        [.. Directory.EnumerateFiles(Repository.PathOf(".github/workflows")).Select(path => Path.GetRelativePath(Repository.Root, path)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Workflows))]
    public void Actions_are_pinned_by_commit_and_name_their_version(string workflow) => Assert.All(
        Uses().Matches(Repository.Read(workflow)).Where(match => !match.Groups["action"].Value.StartsWith("./", StringComparison.Ordinal)),
        match => Assert.Matches(@"^[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", match.Groups["action"].Value));

    [Theory]
    [MemberData(nameof(Workflows))]
    public void A_job_states_its_permissions_and_has_a_timeout(string workflow)
    {
        var file = Assert.Single(Yaml.Parse(Repository.Read(workflow)));

        Assert.Equal("{}", file.Text("permissions"));
        Assert.NotNull(file.At("concurrency.group"));
        Assert.NotEmpty(file.Fields("jobs"));
        foreach (var (_, job) in file.Fields("jobs"))
        {
            Assert.NotEmpty(job.Fields("permissions"));
            Assert.True(job.At("uses") is not null || job.At("timeout-minutes") is not null);
        }
    }

    [Theory]
    [MemberData(nameof(Workflows))]
    public void Scripts_that_steps_run_exist_and_are_executable(string workflow) => Assert.All(
        Scripts().Matches(Repository.Read(workflow)).Select(match => Repository.PathOf(match.Value)),
        script => Assert.True(
            File.Exists(script) && (OperatingSystem.IsWindows() || (File.GetUnixFileMode(script) & UnixFileMode.UserExecute) != 0),
            $"{script} does not exist or is not executable."));

    [Fact]
    public void The_suite_runs_with_native_servers_and_with_containers()
    {
        var test = Assert.Single(Yaml.Parse(Repository.Read(".github/workflows/ci.yml"))).At("jobs.test");

        Assert.Equal(["native", "containers"], test.Items("strategy.matrix.servers").Select(servers => servers.ToString()));
        Assert.Equal("${{ matrix.servers }}", test.Text("env.LEDGER_TEST_SERVERS"));
        Assert.Contains(test.Items("steps"), step => step.Text("run")?.Contains(".ci/run", StringComparison.Ordinal) == true);
    }

    [Fact]
    public async Task Actionlint_finds_nothing()
    {
        var (exitCode, output, errors) = await Repository.RunAsync(Repository.PathOf("scripts/check-workflows.sh"), []);

        Assert.SkipWhen(exitCode == 77, errors.Trim());
        Assert.True(exitCode == 0, output + errors);
    }

    [Fact]
    public async Task The_changelog_has_notes_for_the_next_release()
    {
        var (exitCode, output, errors) = await Repository.RunAsync(Repository.PathOf("scripts/changelog.sh"), ["Unreleased"]);

        Assert.True(exitCode == 0, errors);
        Assert.StartsWith("### ", output.TrimStart(), StringComparison.Ordinal);
    }

    [GeneratedRegex(@"uses: (?<action>.+)$", RegexOptions.Multiline)]
    private static partial Regex Uses();

    [GeneratedRegex(@"(?<![\w/.-])((scripts|deploy)/[\w-]+\.sh|\.ci/run)\b")]
    private static partial Regex Scripts();
}
