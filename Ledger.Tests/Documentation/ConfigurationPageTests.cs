using System.Globalization;
using System.Text.RegularExpressions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Documentation;

/// <summary>The tables of <c>docs/configuration.md</c>, compared with the options in the code.</summary>
public sealed partial class ConfigurationPageTests
{
    private static readonly Dictionary<string, (string Default, string Range)> s_rows = Row()
        .Matches(Repository.Read("docs/configuration.md"))
        .ToDictionary(match => match.Groups["name"].Value, match => (match.Groups["default"].Value, match.Groups["range"].Value));

    [Fact]
    public void Every_option_is_listed_once_and_no_other() =>
        Assert.Equal(ServiceOptions.Defaults.Keys.Order(StringComparer.Ordinal), s_rows.Keys.Order(StringComparer.Ordinal));

    // Defaults that are not numbers are described in words.
    [Fact]
    public void Every_numeric_default_is_that_of_the_code() => Assert.All(
        ServiceOptions.Defaults.Where(option => option.Value is int or double),
        option => Assert.Equal(Convert.ToString(option.Value, CultureInfo.InvariantCulture), s_rows[option.Key].Default));

    [Fact]
    public void Every_range_is_that_of_the_code() => Assert.All(
        s_rows, row => Assert.Equal(ServiceOptions.Ranges.GetValueOrDefault(row.Key, ""), row.Value.Range));

    [GeneratedRegex(@"^\| `(?<name>Ledger__\w+)` \| (?<default>[^|]*?) \| ?(?<range>[^|]*?) \|", RegexOptions.Multiline)]
    private static partial Regex Row();
}
