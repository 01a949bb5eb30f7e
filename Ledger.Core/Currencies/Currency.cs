using System.Globalization;

namespace Ledger.Core.Currencies;

/// <summary>A currency that accounts can be held in.</summary>
/// <param name="Code">ISO 4217 alphabetic code, or an operator's own: 3 to 12 characters of A to Z and 0 to 9.</param>
/// <param name="Name">The name in English.</param>
/// <param name="Exponent">Decimal digits of the minor unit (ISO 4217): 2 for USD, 0 for JPY, 3 for KWD; 0 to 12.</param>
/// <param name="Enabled">Whether money may move in this currency.</param>
public sealed record Currency(string Code, string Name, int Exponent, bool Enabled)
{
    /// <summary>The largest amount that one command may move, in minor units: 18 decimal digits.</summary>
    public const long MaxAmount = 999_999_999_999_999_999;

    /// <summary>A currency that the ledger does not have: amounts are shown in minor units.</summary>
    public static Currency Unknown(string code) => new(code, code, 0, Enabled: false);

    /// <summary>
    /// Reads a decimal string in major units, such as <c>12.34</c>: digits, and at most as many behind the point as the
    /// currency has. Signs, exponents, grouping, superfluous zeros in front and amounts outside 1 to
    /// <see cref="MaxAmount"/> minor units are refused.
    /// </summary>
    public AmountError ParseAmount(ReadOnlySpan<char> text, out long minorUnits)
    {
        minorUnits = 0;
        var point = text.IndexOf('.');
        var whole = point < 0 ? text : text[..point];
        var fraction = point < 0 ? [] : text[(point + 1)..];

        if (whole.IsEmpty || (point >= 0 && fraction.IsEmpty) || (whole.Length > 1 && whole[0] == '0'))
            return AmountError.Malformed;
        if (whole.ContainsAnyExceptInRange('0', '9') || fraction.ContainsAnyExceptInRange('0', '9'))
            return AmountError.Malformed;
        if (fraction.Length > Exponent)
            return AmountError.TooPrecise;
        if (whole.Length + Exponent > 19)
            return AmountError.OutOfRange;

        // At most 19 digits: an unsigned 64-bit number holds them.
        ulong value = 0;
        foreach (var digit in whole)
            value = value * 10 + (uint)(digit - '0');
        foreach (var digit in fraction)
            value = value * 10 + (uint)(digit - '0');
        for (var i = fraction.Length; i < Exponent; i++)
            value *= 10;

        if (value is 0 or > MaxAmount)
            return AmountError.OutOfRange;
        minorUnits = (long)value;
        return AmountError.None;
    }

    /// <summary>Writes an amount of this currency as a decimal string in major units.</summary>
    /// <exception cref="ArgumentException">The amount is in another currency.</exception>
    public string FormatAmount(Money amount) => amount.Currency == Code
        ? FormatAmount(amount.MinorUnits)
        : throw new ArgumentException($"The amount is in {amount.Currency}, not in {Code}.", nameof(amount));

    /// <summary>Writes minor units as a decimal string in major units with all of the currency's digits: 1234 as <c>12.34</c>.</summary>
    public string FormatAmount(long minorUnits)
    {
        if (Exponent == 0)
            return minorUnits.ToString(CultureInfo.InvariantCulture);

        // A sign, 19 digits, a point, and a zero before the point.
        Span<char> buffer = stackalloc char[24];
        var at = buffer.Length;
        var rest = (ulong)Math.Abs((decimal)minorUnits);
        for (var digits = 0; rest > 0 || digits <= Exponent; digits++)
        {
            if (digits == Exponent)
                buffer[--at] = '.';
            buffer[--at] = (char)('0' + rest % 10);
            rest /= 10;
        }
        if (minorUnits < 0)
            buffer[--at] = '-';
        return new string(buffer[at..]);
    }
}

/// <summary>Why a string is not an amount.</summary>
public enum AmountError
{
    /// <summary>The string is an amount.</summary>
    None,
    /// <summary>The string is not a plain decimal number.</summary>
    Malformed,
    /// <summary>The amount has more decimal places than the currency.</summary>
    TooPrecise,
    /// <summary>The amount is zero or above <see cref="Currency.MaxAmount"/>.</summary>
    OutOfRange,
}
