using System.Buffers;
using System.Globalization;
using System.Text.RegularExpressions;
using Ledger.Api.Errors;
using Ledger.Api.Transactions;
using Ledger.Core.Currencies;

namespace Ledger.Api.Requests;

/// <summary>Reads query parameters and collects all errors, so that a client sees them at once.</summary>
public sealed partial class QueryReader
{
    private static readonly SearchValues<char> CodeCharacters = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

    private const int DefaultPageSize = 50;
    private const int MaxPageSize = 1000;

    public delegate bool TryParse<T>(string? text, out T value);

    public Dictionary<string, string[]> Errors { get; } = [];

    /// <summary>The <c>nextCursor</c> of the previous page.</summary>
    public T? Cursor<T>(string name, string? text, TryParse<T> parse) where T : struct =>
        Read(name, text, parse, "Must be the nextCursor of the previous page.");

    public Guid? Id(string name, string? text) => Read<Guid>(name, text, TryParseId, "Must be an id.");

    public static bool TryParseId(string? text, out Guid id) => Guid.TryParseExact(text, "D", out id);

    /// <summary>A place in the journal, 0 for its beginning.</summary>
    public static bool TryParseSequence(string? text, out long sequence) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out sequence);

    /// <summary>A currency code; the currency need not exist.</summary>
    public string? Currency(string name, string? text)
    {
        if (text is null || (text.Length is >= 3 and <= 12 && !text.AsSpan().ContainsAnyExcept(CodeCharacters)))
            return text;
        Errors[name] = [$"{Sent.Quoted(text)} is not a currency code. Must be 3 to 12 characters of A to Z and 0 to 9, such as USD."];
        return null;
    }

    public DateTimeOffset? Time(string name, string? text) =>
        Read(name, text, (string? t, out DateTimeOffset value) => TryParseTime(t, out value), "Must be an RFC 3339 time, such as 2026-01-31T12:00:00Z; without an offset it is UTC.");

    /// <param name="known">The names that <paramref name="parse"/> knows.</param>
    public T? Named<T>(string name, string? text, TryParse<T> parse, IEnumerable<string> known) where T : struct =>
        Read(name, text, parse, $"Must be one of: {string.Join(", ", known)}.");

    /// <summary>A text that the stored text must equal.</summary>
    public string? Text(string name, string? text, int maxLength)
    {
        if (text is null)
            return null;
        if ((text.Length == 0 ? $"Is empty. Must be text of 1 to {maxLength} characters." : Sent.TextError(text, maxLength)) is not { } error)
            return text;
        Errors[name] = [error];
        return null;
    }

    /// <summary>The parameters <c>metadata[key]</c>, all of which must match; null without any.</summary>
    /// <param name="plain">The parameter <c>metadata</c> without a key, which is refused.</param>
    public Dictionary<string, string>? Metadata(string? plain, IQueryCollection query)
    {
        const string Name = QueryParameters.Metadata;
        if (plain is not null)
            Errors[Name] = ["Needs a key. Write metadata[key]=value, once per key."];
        Dictionary<string, string>? metadata = null;
        foreach (var (name, values) in query)
        {
            if (QueryParameters.KeyOf(name, Name) is not { } key)
                continue;
            metadata ??= [];
            metadata[key] = values.ToString();
        }
        if (metadata is not null && CommandReader.MetadataError(metadata) is { } error)
            Errors[Name] = [error];
        return metadata;
    }

    /// <summary>An amount in major units of a currency, as minor units.</summary>
    public long? Amount(string name, string? text, Currency currency)
    {
        if (text is null)
            return null;
        if (currency.ParseAmount(text, out var minorUnits) is not AmountError.None and var error)
        {
            Errors[name] = [CommandReader.AmountMessage(error, text, currency)];
            return null;
        }
        return minorUnits;
    }

    /// <summary>The parameter <c>limit</c> of a list: 1 to 1000, 50 by default.</summary>
    public int PageSize(string? text) =>
        Read("limit", text, (string? t, out int value) => int.TryParse(t, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value is >= 1 and <= MaxPageSize,
            $"Must be a whole number from 1 to {MaxPageSize}.") ?? DefaultPageSize;

    // RFC 3339, section 5.6: a date, a time with seconds, and an offset. Without an offset, as clients that NSwag generates send times,
    // it is UTC. PostgreSQL stores microseconds, so finer digits are cut off.
    public static bool TryParseTime(string? text, out DateTimeOffset value)
    {
        value = default;
        if (Rfc3339().Match(text ?? "") is not { Success: true, Groups: var parts }
            || !DateTime.TryParseExact(parts["minute"].Value.ToUpperInvariant(), "yyyy-MM-dd'T'HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out var minute))
            return false;

        var second = NumberOf("second");
        var microsecond = int.Parse(parts["fraction"].Value.PadRight(6, '0')[..6], CultureInfo.InvariantCulture);
        var offset = (NumberOf("hours") * 60 + NumberOf("minutes")) * (parts["sign"].Value == "-" ? -1 : 1);
        var ticks = minute.Ticks + second * TimeSpan.TicksPerSecond + microsecond * TimeSpan.TicksPerMicrosecond - offset * TimeSpan.TicksPerMinute;
        if (ticks < DateTime.MinValue.Ticks || ticks > DateTime.MaxValue.Ticks)
            return false;
        value = new DateTimeOffset(ticks, TimeSpan.Zero);
        // A leap second ends a month in UTC and counts as the first second of the next month.
        return second < 60 || value is { Day: 1, Hour: 0, Minute: 0, Second: 0 };

        int NumberOf(string part) => parts[part].Success ? int.Parse(parts[part].Value, CultureInfo.InvariantCulture) : 0;
    }

    [GeneratedRegex(
        @"^(?<minute>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}):(?<second>[0-5][0-9]|60)(\.(?<fraction>[0-9]+))?(Z|(?<sign>[+-])(?<hours>[01][0-9]|2[0-3]):(?<minutes>[0-5][0-9]))?\z",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture)]
    private static partial Regex Rfc3339();

    private T? Read<T>(string name, string? text, TryParse<T> parse, string error) where T : struct
    {
        if (text is null)
            return null;
        if (parse(text, out var value))
            return value;
        Errors[name] = [$"{Sent.Quoted(text)} was sent. {error}"];
        return null;
    }
}
