using System.CommandLine;
using System.Globalization;
using System.Numerics;

namespace Ledger.Cli;

/// <summary>Command-line options with bounds. The error for a bad value states the accepted ones.</summary>
internal static class Options
{
    private static readonly (string Suffix, double Seconds)[] s_units = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)];

    public static Option<T> Number<T>(string name, string description, T defaultValue, T min, T max) where T : struct, INumber<T> => new(name)
    {
        Description = description,
        DefaultValueFactory = _ => defaultValue,
        HelpName = "number",
        CustomParser = result =>
        {
            if (T.TryParse(result.Tokens[0].Value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max)
                return number;
            result.AddError(string.Create(CultureInfo.InvariantCulture, $"{name} takes {min} to {max}."));
            return default;
        },
    };

    /// <summary>A duration with a unit: <c>500ms</c>, <c>30s</c>, <c>2m</c>, <c>1h</c>.</summary>
    public static Option<TimeSpan> Duration(string name, string description, TimeSpan defaultValue) => new(name)
    {
        Description = description,
        DefaultValueFactory = _ => defaultValue,
        HelpName = "duration",
        CustomParser = result =>
        {
            var text = result.Tokens[0].Value;
            foreach (var (suffix, seconds) in s_units)
            {
                if (text.EndsWith(suffix, StringComparison.Ordinal)
                    && double.TryParse(text.AsSpan(0, text.Length - suffix.Length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)
                    && number * seconds <= 30 * 86_400)
                    return TimeSpan.FromSeconds(number * seconds);
            }
            result.AddError($"{name} takes a duration such as 500ms, 30s, 2m or 1h, of at most 30 days.");
            return default;
        },
    };

    /// <summary>Addresses of APIs. The option may be repeated.</summary>
    public static Option<Uri[]> Addresses(string name, string description) => new(name)
    {
        Description = description,
        DefaultValueFactory = _ => [new Uri("http://localhost:8080")],
        HelpName = "address",
        CustomParser = result =>
        {
            var addresses = new List<Uri>();
            foreach (var token in result.Tokens)
            {
                if (Uri.TryCreate(token.Value, UriKind.Absolute, out var address) && address.Scheme is "http" or "https")
                    addresses.Add(address!);
                else
                    result.AddError($"{name} takes an address such as http://localhost:8080.");
            }
            return [.. addresses];
        },
    };
}
