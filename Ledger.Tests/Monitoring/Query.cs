using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Monitoring;

/// <summary>A PromQL expression of a dashboard or rule, and the series and labels that it uses.</summary>
/// <param name="Where">The panel or rule of the expression.</param>
internal sealed partial record Query(string Where, string Expression)
{
    private const string Rules = "deploy/prometheus/ledger.rules.yml";
    private static readonly HashSet<string> s_keywords = ["and", "or", "unless", "offset", "bool"];

    // Prometheus adds job and instance; le belongs to the buckets of histograms.
    private static readonly HashSet<string> s_addedLabels = ["job", "instance", "le"];

    /// <summary>The names of the series that the rules record.</summary>
    public static IReadOnlySet<string> Recorded { get; } = RulesIn().Select(rule => rule.Text("record")).OfType<string>().ToHashSet();

    /// <summary>The series of the expression: exported, recorded, and those of Prometheus itself.</summary>
    public IEnumerable<string> Series => Identifier().Matches(ByClause().Replace(Selector().Replace(Expression, ""), ""))
        .Select(match => match.Value).Where(name => !s_keywords.Contains(name)).Distinct();

    /// <summary>The labels that the expression selects or groups by.</summary>
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

    /// <summary>The expressions of all recording and alerting rules.</summary>
    public static IReadOnlyList<Query> OfRules() =>
        [.. RulesIn().Select(rule => new Query($"{Rules}, {rule.Text("record") ?? rule.Text("alert")}", rule.Text("expr")!))];

    private static IEnumerable<JsonNode> RulesIn() => Yaml.Parse(Repository.Read(Rules))[0].Items("groups").SelectMany(group => group.Items("rules"));

    [GeneratedRegex("""\{[^}]*\}|\[[^\]]*\]""")]
    private static partial Regex Selector();

    [GeneratedRegex("""[{,]\s*(?<label>\w+)\s*(=~|!~|!=|=)\s*"[^"]*?""")]
    private static partial Regex Matcher();

    [GeneratedRegex("""\b(by|without|on|ignoring)\s*\((?<labels>[^)]*)\)""")]
    private static partial Regex ByClause();

    /// <summary>A name that is not a function: a parenthesis or <c>by</c> follows the name of a function.</summary>
    [GeneratedRegex("""(?<![\w:.])[a-zA-Z_:][\w:]*\b(?![\w:])(?!\s*\()""")]
    private static partial Regex Identifier();
}
