using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Monitoring;

/// <summary>A PromQL expression of a dashboard or of the rules, taken apart far enough to know which series it reads.</summary>
/// <param name="Where">The panel or rule that it stands in.</param>
/// <param name="Expression">As it stands there.</param>
internal sealed partial record Query(string Where, string Expression)
{
    private const string Rules = "deploy/prometheus/ledger.rules.yml";
    private static readonly HashSet<string> s_keywords = ["and", "or", "unless", "offset", "bool"];

    // What Prometheus adds to a series by itself, and what a histogram's buckets are told apart by.
    private static readonly HashSet<string> s_addedLabels = ["job", "instance", "le"];

    /// <summary>The names that the rules give to what they record.</summary>
    public static IReadOnlySet<string> Recorded { get; } = RulesIn().Select(rule => rule.Text("record")).OfType<string>().ToHashSet();

    /// <summary>The series that it reads: those of exporters, recorded ones, Prometheus' own.</summary>
    public IEnumerable<string> Series => Identifier().Matches(ByClause().Replace(Selector().Replace(Expression, ""), ""))
        .Select(match => match.Value).Where(name => !s_keywords.Contains(name)).Distinct();

    /// <summary>The labels of the series that it selects or sums by.</summary>
    public IEnumerable<string> Labels => ByClause().Matches(Expression).SelectMany(match => match.Groups["labels"].Value.Split(','))
        .Concat(Matcher().Matches(Expression).Select(match => match.Groups["label"].Value))
        .Select(label => label.Trim()).Where(label => !s_addedLabels.Contains(label)).Distinct();

    public override string ToString() => $"{Where}: {Expression}";

    /// <summary>All queries of a dashboard below <c>deploy/grafana/dashboards</c>.</summary>
    public static IReadOnlyList<Query> OfDashboard(string file)
    {
        var dashboard = JsonNode.Parse(Repository.Read($"deploy/grafana/dashboards/{file}"));
        return [.. dashboard.Items("panels").SelectMany(panel => panel.Items("targets").Select(target => new Query($"{file}, '{panel.Text("title")}'", target.Text("expr")!)))];
    }

    /// <summary>What the rules record and alert on.</summary>
    public static IReadOnlyList<Query> OfRules() =>
        [.. RulesIn().Select(rule => new Query($"{Rules}, {rule.Text("record") ?? rule.Text("alert")}", rule.Text("expr")!))];

    private static IEnumerable<JsonNode> RulesIn() => Yaml.Parse(Repository.Read(Rules))[0].Items("groups").SelectMany(group => group.Items("rules"));

    [GeneratedRegex("""\{[^}]*\}|\[[^\]]*\]""")]
    private static partial Regex Selector();

    [GeneratedRegex("""[{,]\s*(?<label>\w+)\s*(=~|!~|!=|=)\s*"[^"]*?""")]
    private static partial Regex Matcher();

    [GeneratedRegex("""\b(by|without|on|ignoring)\s*\((?<labels>[^)]*)\)""")]
    private static partial Regex ByClause();

    /// <summary>A name that is no function's: those have a parenthesis behind them, or <c>by</c>.</summary>
    [GeneratedRegex("""(?<![\w:.])[a-zA-Z_:][\w:]*\b(?![\w:])(?!\s*\()""")]
    private static partial Regex Identifier();
}
