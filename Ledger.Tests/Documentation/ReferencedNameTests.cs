using System.Text.RegularExpressions;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Documentation;

/// <summary>Links, paths, types and log messages that the documentation names, looked up in the repository.</summary>
public sealed partial class ReferencedNameTests
{
    private static readonly string[] s_pages =
    [
        "README.md", "CHANGELOG.md",
        .. Directory.EnumerateFiles(Repository.PathOf("docs"), "*.md", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(Repository.Root, file)).Order(),
    ];

    private static readonly string[] s_sourceFiles =
    [
        .. Directory.EnumerateFiles(Repository.Root, "*.cs", SearchOption.AllDirectories)
            .Where(file => file.AsSpan(Repository.Root.Length + 1).StartsWith("Ledger.") && !file.Contains("/obj/", StringComparison.Ordinal)),
    ];

    public static TheoryData<string> Pages => [.. s_pages];

    [Theory]
    [MemberData(nameof(Pages))]
    public void Links_lead_to_files_and_headings_that_exist(string page)
    {
        var text = Repository.Read(page);
        var targets = Link().Matches(WithoutCode(text)).Select(match => match.Groups["target"].Value);
        foreach (var target in targets.Where(target => !target.Contains("://", StringComparison.Ordinal)))
        {
            var (path, heading) = target.Split('#') is [var file, var anchor] ? (file, anchor) : (target, null);
            var linked = path.Length == 0 ? page : Path.GetRelativePath(Repository.Root, Path.Combine(Repository.Root, Path.GetDirectoryName(page)!, path));
            Assert.True(Path.Exists(Repository.PathOf(linked)), $"{page} links to {target}, which does not exist.");
            if (heading is not null)
                Assert.True(Headings(Repository.Read(linked)).Contains(heading), $"{page} links to {target}, and {linked} has no such heading.");
        }
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public void Named_paths_exist(string page) => Assert.All(
        IsHistory(page) ? [] : RepositoryPath().Matches(Repository.Read(page)).Select(match => match.Groups["path"].Value),
        path => Assert.True(Path.Exists(Repository.PathOf(path)), $"{page} names {path}, which does not exist."));

    [Fact]
    public void Types_of_the_architecture_page_have_a_source_file()
    {
        var files = s_sourceFiles.Select(Path.GetFileNameWithoutExtension).ToHashSet();

        Assert.All(
            PathOfDepositRow().Matches(Repository.Read("docs/architecture.md")).Select(match => match.Groups["type"].Value),
            type => Assert.True(files.Contains(type), $"docs/architecture.md names {type}, which has no source file."));
    }

    [Fact]
    public void Test_classes_of_the_security_page_exist()
    {
        var classes = typeof(ReferencedNameTests).Assembly.GetTypes().Select(type => type.Name).ToHashSet();

        Assert.All(
            TestClass().Matches(Repository.Read("docs/security.md")).Select(match => match.Groups["name"].Value),
            name => Assert.True(classes.Contains(name), $"docs/security.md names {name}, which does not exist."));
    }

    [Fact]
    public void Error_codes_of_the_errors_page_are_those_of_the_code()
    {
        var documented = ErrorRow().Matches(Repository.Read("docs/errors.md")).Select(match => match.Groups["code"].Value).ToList();
        var shown = ProblemType().Matches(Repository.Read("Ledger.Tests/Approved/openapi.json")).Select(match => match.Groups["code"].Value);
        var rejections = typeof(RejectionCodes).GetFields().Select(field => (string)field.GetRawConstantValue()!);
        var sources = string.Concat(
            Directory.EnumerateFiles(Path.Combine(Repository.Root, "Ledger.Api"), "*.cs", SearchOption.AllDirectories)
                .Append(Path.Combine(Repository.Root, "Ledger.Core/Transactions/Transaction.cs")).Select(File.ReadAllText));

        Assert.Empty(shown.Concat(rejections).Except(documented));
        Assert.All(documented, code => Assert.Contains($"\"{code}\"", sources, StringComparison.Ordinal));
        Assert.Equal(documented.Distinct(), documented);
    }

    [Fact]
    public void Log_messages_of_the_operations_page_are_those_of_the_code()
    {
        var sources = string.Concat(s_sourceFiles.Where(file => !file.Contains("Ledger.Tests", StringComparison.Ordinal)).Select(File.ReadAllText));
        var messages = LogMessageRow().Matches(Section(Repository.Read("docs/operations.md"), "### Log messages")).Select(match => match.Groups["message"].Value).ToList();

        Assert.NotEmpty(messages);
        // An ellipsis stands for what a message is formatted with.
        foreach (var message in messages)
        {
            Assert.All(message.Split('…', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries), part =>
                Assert.True(sources.Contains(part, StringComparison.Ordinal), $"docs/operations.md quotes \"{message}\", and no source file has \"{part}\"."));
        }
    }

    // These pages name files that have been deleted.
    private static bool IsHistory(string page) => page == "CHANGELOG.md" || page.StartsWith("docs/decisions/", StringComparison.Ordinal);

    // As GitHub makes them: lower case, without punctuation, hyphens for blanks.
    private static HashSet<string> Headings(string text) =>
        [.. Heading().Matches(WithoutCode(text)).Select(match => Punctuation().Replace(match.Groups["text"].Value.Trim().ToLowerInvariant(), "").Replace(' ', '-'))];

    private static string Section(string text, string heading)
    {
        var start = text.IndexOf(heading, StringComparison.Ordinal);
        Assert.True(start >= 0, $"There is no heading \"{heading}\".");
        var end = text.IndexOf("\n#", start + heading.Length, StringComparison.Ordinal);
        return end < 0 ? text[start..] : text[start..end];
    }

    private static string WithoutCode(string text) => CodeBlock().Replace(text, "");

    [GeneratedRegex(@"^```.*?^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex CodeBlock();

    [GeneratedRegex(@"\]\((?<target>[^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex("^#+ (?<text>.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"[^\w\- ]")]
    private static partial Regex Punctuation();

    // Without what a build makes.
    [GeneratedRegex(@"`(?<path>(Ledger\.\w+|deploy|scripts|docs|aspirate-output)/[\w./-]+(?<!\.dll))`")]
    private static partial Regex RepositoryPath();

    [GeneratedRegex(@"^\| \d+ \| [^|]+ \| `(?<type>\w+)` \|", RegexOptions.Multiline)]
    private static partial Regex PathOfDepositRow();

    [GeneratedRegex(@"^\| \d+ \| `(?<code>\w+)` \|", RegexOptions.Multiline)]
    private static partial Regex ErrorRow();

    [GeneratedRegex(@"urn:ledger:problem:(?<code>\w+)")]
    private static partial Regex ProblemType();

    [GeneratedRegex(@"`(?<name>\w+Tests)`")]
    private static partial Regex TestClass();

    [GeneratedRegex(@"^\| `(?<message>[^`]+)` \|", RegexOptions.Multiline)]
    private static partial Regex LogMessageRow();
}
