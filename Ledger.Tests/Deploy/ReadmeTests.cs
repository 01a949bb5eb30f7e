using System.Globalization;
using System.Text.RegularExpressions;

namespace Ledger.Tests.Deploy;

/// <summary>What the README says of options, against the code.</summary>
public sealed partial class ReadmeTests
{
    [Fact]
    public void Every_option_stands_in_the_README_with_its_default()
    {
        var table = Row().Matches(Repository.Read("README.md")).ToDictionary(match => match.Groups["name"].Value, match => match.Groups["default"].Value);

        Assert.Equal(ServiceOptions.Defaults.Keys.Order(StringComparer.Ordinal), table.Keys.Order(StringComparer.Ordinal));
        // Of the others the README says in words what they are unless set.
        foreach (var (name, value) in ServiceOptions.Defaults.Where(option => option.Value is int or double))
            Assert.True(table[name] == Convert.ToString(value, CultureInfo.InvariantCulture), $"{name} is {value}, the README says {table[name]}.");
    }

    [GeneratedRegex(@"^\| `(?<name>Ledger__\w+)` \| (?<default>[^|]*?) \|", RegexOptions.Multiline)]
    private static partial Regex Row();
}
