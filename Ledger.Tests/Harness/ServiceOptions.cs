using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using Ledger.ServiceDefaults;

namespace Ledger.Tests.Harness;

/// <summary>The options that the services read, by their environment variables.</summary>
internal static partial class ServiceOptions
{
    private static readonly Assembly[] s_assemblies =
        [typeof(Ledger.Api.Transactions.GatewayOptions).Assembly, typeof(Ledger.Worker.Posting.WorkerOptions).Assembly, typeof(ResourceNames).Assembly];

    private static readonly string[] s_sources =
    [
        .. Directory.EnumerateFiles(Repository.Root, "*.cs", SearchOption.AllDirectories)
            .Where(file => file.AsSpan(Repository.Root.Length + 1).StartsWith("Ledger.")
                && !file.Contains("/obj/", StringComparison.Ordinal) && !file.Contains("Ledger.Tests", StringComparison.Ordinal))
            .Select(File.ReadAllText),
    ];

    private static readonly Option[] s_sectionOptions =
        [.. s_sources.SelectMany(source => Registration().Matches(source)).SelectMany(match => OptionsOf(match.Groups["type"].Value, match.Groups["section"].Value))];

    /// <summary>Names such as <c>Ledger__Gateway__MaxEnvelope</c> with their defaults. A default of null depends on the environment.</summary>
    public static IReadOnlyDictionary<string, object?> Defaults { get; } = s_sectionOptions
        .Select(option => KeyValuePair.Create(option.Name, option.Default))
        .Concat(s_sources.SelectMany(source => Single().Matches(source)).Select(match => KeyValuePair.Create($"Ledger__{match.Groups["name"].Value}", (object?)null)))
        .ToDictionary();

    /// <summary>The ranges of numeric options, such as <c>1 to 10000</c>, by the same names.</summary>
    public static IReadOnlyDictionary<string, string> Ranges { get; } = s_sectionOptions
        .Where(option => option.Range is not null)
        .ToDictionary(option => option.Name, option => string.Create(CultureInfo.InvariantCulture, $"{option.Range!.Minimum} to {option.Range.Maximum}"));

    private static IEnumerable<Option> OptionsOf(string typeName, string section)
    {
        var type = s_assemblies.SelectMany(assembly => assembly.GetTypes()).Single(type => type.Name == typeName);
        var options = Activator.CreateInstance(type);
        return type.GetProperties().Select(option =>
            new Option($"Ledger__{section}__{option.Name}", option.GetValue(options), option.GetCustomAttribute<RangeAttribute>()));
    }

    private sealed record Option(string Name, object? Default, RangeAttribute? Range);

    [GeneratedRegex("""AddLedgerOptions<(?<type>\w+)>\("(?<section>\w+)"\)""")]
    private static partial Regex Registration();

    /// <summary>An option without a section, such as <c>Ledger__SelfServiceDeposits</c>.</summary>
    [GeneratedRegex("""GetValue<[\w?]+>\("Ledger:(?<name>\w+)"\)""")]
    private static partial Regex Single();
}
