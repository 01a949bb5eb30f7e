using System.Collections;

namespace Ledger.LocalHost.Servers;

/// <summary>The environment that started this process may be set up for another server of the same kind.</summary>
internal static class Inherited
{
    /// <summary>An entry that removes it for each inherited variable that begins with one of <paramref name="prefixes"/>.</summary>
    public static Dictionary<string, string?> Without(params string[] prefixes) =>
        Environment.GetEnvironmentVariables().Cast<DictionaryEntry>()
            .Select(variable => (string)variable.Key)
            .Where(name => prefixes.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal)))
            .ToDictionary(name => name, _ => (string?)null);
}
