using System.Buffers;
using System.Globalization;

namespace Ledger.Api.Problems;

/// <summary>Reads query parameters and collects what is wrong with them, so that a client learns all of it at once.</summary>
public sealed class QueryReader
{
    private static readonly SearchValues<char> CodeCharacters = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

    public delegate bool TryParse<T>(string? text, out T value);

    public Dictionary<string, string[]> Errors { get; } = [];

    /// <summary>Where the page before ended.</summary>
    public T? Cursor<T>(string name, string? text, TryParse<T> parse) where T : struct =>
        Read(name, text, parse, "Must be what the page before gave.");

    public Guid? Id(string name, string? text) => Read<Guid>(name, text, TryParseId, "Must be an id.");

    public static bool TryParseId(string? text, out Guid id) => Guid.TryParseExact(text, "D", out id);

    /// <summary>A currency's code, whether there is such a currency or not.</summary>
    public string? Currency(string name, string? text)
    {
        if (text is null || (text.Length is >= 3 and <= 12 && !text.AsSpan().ContainsAnyExcept(CodeCharacters)))
            return text;
        Errors[name] = ["Must be the code of a currency, such as USD."];
        return null;
    }

    public DateTimeOffset? Time(string name, string? text) =>
        Read(name, text, (string? t, out DateTimeOffset value) => TryParseTime(t, out value), "Must be a time by RFC 3339, such as 2026-01-31T12:00:00Z.");

    public T? Named<T>(string name, string? text, TryParse<T> parse) where T : struct =>
        Read(name, text, parse, "Is not one of the names that there are.");

    public int? Number(string name, string? text, int min, int max) =>
        Read(name, text, (string? t, out int value) => int.TryParse(t, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value >= min && value <= max,
            $"Must be a whole number from {min} to {max}.");

    // RFC 3339, section 5.6: a date, a time with seconds, and an offset; never a local time.
    private static bool TryParseTime(string? text, out DateTimeOffset value) =>
        DateTimeOffset.TryParseExact(
            text?.ToUpperInvariant(),
            ["yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK"],
            CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out value)
        && (text!.EndsWith('Z') || text.EndsWith('z') || text.LastIndexOfAny(['+', '-']) > 10);

    private T? Read<T>(string name, string? text, TryParse<T> parse, string error) where T : struct
    {
        if (text is null)
            return null;
        if (parse(text, out var value))
            return value;
        Errors[name] = [error];
        return null;
    }
}
