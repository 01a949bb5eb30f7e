using System.Text.RegularExpressions;

namespace Ledger.Tests.Deploy;

/// <summary><c>.github/workflows</c>: what they may do, what they run, and whether GitHub will understand them.</summary>
public sealed partial class WorkflowTests
{
    public static TheoryData<string> Workflows { get; } =
        [.. Directory.EnumerateFiles(Repository.PathOf(".github/workflows")).Select(path => Path.GetRelativePath(Repository.Root, path)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Workflows))]
    public void Actions_are_pinned_by_commit_with_their_version_beside_it(string workflow) => Assert.All(
        Uses().Matches(Repository.Read(workflow)).Where(match => !match.Groups["action"].Value.StartsWith("./", StringComparison.Ordinal)),
        match => Assert.Matches(@"^[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", match.Groups["action"].Value));

    [Theory]
    [MemberData(nameof(Workflows))]
    public void A_job_may_do_what_it_says_and_no_more_and_ends_by_itself(string workflow)
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
    public void What_a_step_runs_is_a_script_that_is_here(string workflow) => Assert.All(
        Scripts().Matches(Repository.Read(workflow)).Select(match => Repository.PathOf(match.Value)),
        script => Assert.True(
            File.Exists(script) && (OperatingSystem.IsWindows() || (File.GetUnixFileMode(script) & UnixFileMode.UserExecute) != 0),
            $"{script} is not there to be run."));

    [Fact]
    public async Task Actionlint_finds_nothing()
    {
        var (exitCode, output, errors) = await Repository.RunAsync(Repository.PathOf("scripts/check-workflows.sh"), []);

        Assert.SkipWhen(exitCode == 77, errors.Trim());
        Assert.True(exitCode == 0, output + errors);
    }

    [Fact]
    public async Task The_change_log_has_notes_for_what_is_coming()
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
