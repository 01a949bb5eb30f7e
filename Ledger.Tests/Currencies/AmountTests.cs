using System.Globalization;
using FsCheck.Fluent;
using Ledger.Core.Currencies;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Currencies;

/// <summary>Conversion between decimal strings in major units and minor units.</summary>
public sealed class AmountTests
{
    [Theory]
    [InlineData(2, "12.34", 1234)]
    [InlineData(2, "12.3", 1230)]
    [InlineData(2, "12", 1200)]
    [InlineData(2, "0.01", 1)]
    [InlineData(0, "12", 12)]
    [InlineData(3, "0.001", 1)]
    [InlineData(12, "0.000000000001", 1)]
    [InlineData(2, "9999999999999999.99", 999_999_999_999_999_999)]
    [InlineData(0, "999999999999999999", 999_999_999_999_999_999)]
    [InlineData(12, "999999.999999999999", 999_999_999_999_999_999)]
    public void Decimal_string_is_parsed_exactly(int exponent, string text, long minorUnits)
    {
        Assert.Equal(AmountError.None, WithExponent(exponent).ParseAmount(text, out var amount));
        Assert.Equal(minorUnits, amount);
    }

    [Theory]
    [InlineData("")]
    [InlineData(".")]
    [InlineData("1.")]
    [InlineData(".5")]
    [InlineData("01")]
    [InlineData("00.10")]
    [InlineData("+1")]
    [InlineData("-1")]
    [InlineData("1e3")]
    [InlineData("1E3")]
    [InlineData("1,000")]
    [InlineData("1_000")]
    [InlineData("1.2.3")]
    [InlineData(" 1")]
    [InlineData("1 ")]
    [InlineData("NaN")]
    [InlineData("Infinity")]
    [InlineData("0x10")]
    [InlineData("١٢")]
    [InlineData("1\u00002")]
    public void Text_that_is_not_a_plain_decimal_number_is_malformed(string text) =>
        Assert.Equal(AmountError.Malformed, WithExponent(2).ParseAmount(text, out _));

    [Theory]
    [InlineData(2, "1.234")]
    [InlineData(2, "1.000")]
    [InlineData(0, "1.0")]
    [InlineData(3, "0.0001")]
    public void More_decimal_places_than_the_exponent_are_too_precise(int exponent, string text) =>
        Assert.Equal(AmountError.TooPrecise, WithExponent(exponent).ParseAmount(text, out _));

    [Theory]
    [InlineData(2, "0")]
    [InlineData(2, "0.00")]
    [InlineData(2, "10000000000000000.00")]
    [InlineData(0, "1000000000000000000")]
    [InlineData(0, "9223372036854775808")]
    [InlineData(0, "18446744073709551617")]
    [InlineData(0, "99999999999999999999999999999999999999")]
    [InlineData(12, "1000000")]
    public void Zero_and_too_large_amounts_are_out_of_range(int exponent, string text) =>
        Assert.Equal(AmountError.OutOfRange, WithExponent(exponent).ParseAmount(text, out _));

    [Theory]
    [InlineData(2, 0, "0.00")]
    [InlineData(2, 5, "0.05")]
    [InlineData(2, -5, "-0.05")]
    [InlineData(2, 1234, "12.34")]
    [InlineData(0, -7, "-7")]
    [InlineData(3, 1_000, "1.000")]
    [InlineData(12, 1, "0.000000000001")]
    [InlineData(2, long.MaxValue, "92233720368547758.07")]
    [InlineData(2, long.MinValue, "-92233720368547758.08")]
    [InlineData(12, long.MinValue, "-9223372.036854775808")]
    [InlineData(0, long.MinValue, "-9223372036854775808")]
    public void Minor_units_are_formatted_with_all_decimal_places(int exponent, long minorUnits, string text) =>
        Assert.Equal(text, WithExponent(exponent).FormatAmount(minorUnits));

    [Fact]
    public void Formatted_amount_parses_to_the_same_amount() => Law.Holds(
        Gen.Choose(0, 12).Zip(Amounts),
        value =>
        {
            var (exponent, amount) = value;
            var currency = WithExponent(exponent);
            Assert.Equal(AmountError.None, currency.ParseAmount(currency.FormatAmount(amount), out var read));
            Assert.Equal(amount, read);
        },
        cases: 5000);

    [Fact]
    public void Parsed_amount_agrees_with_decimal_arithmetic() => Law.Holds(
        Gen.Choose(0, 12).Zip(Amounts.Zip(Gen.Choose(0, 12))),
        value =>
        {
            var (exponent, (amount, digits)) = value;
            // An independent implementation: the framework's decimal, with at most the currency's digits.
            var text = decimal.Round(amount / Pow10(exponent), Math.Min(digits, exponent), MidpointRounding.ToZero).ToString(CultureInfo.InvariantCulture);
            var expected = (long)(decimal.Parse(text, CultureInfo.InvariantCulture) * Pow10(exponent));
            var error = WithExponent(exponent).ParseAmount(text, out var read);
            Assert.Equal(expected == 0 ? AmountError.OutOfRange : AmountError.None, error);
            Assert.Equal(expected, read);
        },
        cases: 5000);

    // Of every order of magnitude, with the smallest and the largest amount.
    private static FsCheck.Gen<long> Amounts => Gen.Frequency(
        (8, Gen.Choose(1, 18).SelectMany(magnitude => Gen.Choose(0, int.MaxValue).Zip(Gen.Choose(0, int.MaxValue)).Select(bits => AmountOf(magnitude, bits.Item1, bits.Item2)))),
        (1, Gen.Constant(1L)),
        (1, Gen.Constant(Currency.MaxAmount)));

    private static long AmountOf(int magnitude, int high, int low) => 1 + (long)((((UInt128)(uint)high << 31) | (uint)low) % (UInt128)Pow10(magnitude)) % Currency.MaxAmount;

    private static decimal Pow10(int exponent) => (decimal)Math.Pow(10, exponent);

    private static Currency WithExponent(int exponent) => new("TST", "Test", exponent, true);
}
