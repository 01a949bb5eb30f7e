using System.Reflection;
using System.Text.RegularExpressions;
using Ledger.ServiceDefaults;

namespace Ledger.Tests.Deploy;

/// <summary>The options that the services read, by the names they have in an environment: what a deployment may set.</summary>
internal static partial class ServiceOptions
{
    private static readonly Assembly[] Assemblies =
        [typeof(Ledger.Api.Transactions.GatewayOptions).Assembly, typeof(Ledger.Worker.Posting.WorkerOptions).Assembly, typeof(ResourceNames).Assembly];

    /// <summary>Names such as <c>Ledger__Gateway__MaxEnvelope</c> with their defaults (null: decided at start).</summary>
    public static IReadOnlyDictionary<string, object?> Defaults { get; } = Directory
        .EnumerateFiles(Repository.Root, "*.cs", SearchOption.AllDirectories)
        .Where(file => file.AsSpan(Repository.Root.Length + 1).StartsWith("Ledger.") && !file.Contains("/obj/", StringComparison.Ordinal) && !file.Contains("Ledger.Tests", StringComparison.Ordinal))
        .Select(File.ReadAllText)
        .SelectMany(source => Enumerable.Concat(
            Registration().Matches(source).SelectMany(match => DefaultsOf(match.Groups["type"].Value, match.Groups["section"].Value)),
            Single().Matches(source).Select(match => KeyValuePair.Create($"Ledger__{match.Groups["name"].Value}", (object?)null))))
        .ToDictionary();

    private static IEnumerable<KeyValuePair<string, object?>> DefaultsOf(string typeName, string section)
    {
        var type = Assemblies.SelectMany(assembly => assembly.GetTypes()).Single(type => type.Name == typeName);
        var options = Activator.CreateInstance(type);
        return type.GetProperties().Select(option => KeyValuePair.Create($"Ledger__{section}__{option.Name}", option.GetValue(options)));
    }

    [GeneratedRegex("""AddLedgerOptions<(?<type>\w+)>\("(?<section>\w+)"\)""")]
    private static partial Regex Registration();

    /// <summary>An option that stands alone.</summary>
    [GeneratedRegex("""GetValue<[\w?]+>\("Ledger:(?<name>\w+)"\)""")]
    private static partial Regex Single();
}
