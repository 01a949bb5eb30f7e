using Ledger.Core.Currencies;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Currencies;

/// <summary>The exponents of ISO 4217 cannot be contradicted.</summary>
public sealed class Iso4217Tests(LedgerSystem system)
{
    [Fact]
    public void Table_has_list_one_with_its_exponents()
    {
        var currencies = Iso4217.Currencies.Values;
        Assert.Equal(178, Iso4217.Currencies.Count);
        Assert.All(currencies, currency => Assert.Matches("^[A-Z]{3}$", currency.Code));
        Assert.All(currencies, currency => Assert.NotEqual("", currency.Name));
        Assert.Equal(
            "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF", With(0));
        Assert.Equal("BHD IQD JOD KWD LYD OMR TND", With(3));
        Assert.Equal("CLF UYW", With(4));
        Assert.Equal("XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX", With(null));
        // New codes, and none of those that they replaced.
        Assert.Superset(new HashSet<string> { "SLE", "VED", "XAD", "XCG", "ZWG" }, Iso4217.Currencies.Keys.ToHashSet());
        Assert.DoesNotContain(Iso4217.Currencies.Keys, code => code is "ANG" or "BGN" or "HRK" or "SLL" or "ZWL");

        string With(int? exponent) => string.Join(' ', currencies.Where(currency => currency.Exponent == exponent).Select(currency => currency.Code).Order());
    }

    [Fact]
    public async Task Seeded_currencies_have_the_exponents_of_ISO_4217()
    {
        var seeded = (await (await system.ApiAsync()).GetAsync("currencies")).MustBe(200).Json.GetProperty("currencies").EnumerateArray()
            .Where(currency => Iso4217.Currencies.ContainsKey(currency.GetProperty("code").GetString()!)).ToList();
        Assert.True(seeded.Count >= 50);
        Assert.All(seeded, currency => Assert.Equal(
            Iso4217.Currencies[currency.GetProperty("code").GetString()!].Exponent ?? currency.GetProperty("exponent").GetInt32(),
            currency.GetProperty("exponent").GetInt32()));
    }

    [Theory]
    [InlineData("IQD", 2, 3)]
    [InlineData("UGX", 2, 0)]
    [InlineData("LYD", 2, 3)]
    [InlineData("XCG", 0, 2)]
    [InlineData("ZWG", 4, 2)]
    public async Task Exponent_of_an_ISO_code_must_be_that_of_ISO(string code, int wrong, int right)
    {
        var @operator = await system.NewOperatorAsync();

        var refused = (await @operator.PostAsync("admin/currencies", new { code, name = "x", exponent = wrong })).MustBe(400, "validation_failed");
        Assert.Equal(
            $"{wrong} was sent. Must be {right}, which ISO 4217 gives {code}.",
            Assert.Single(refused.Json.GetProperty("errors").GetProperty("exponent").EnumerateArray()).GetString());
        (await @operator.PostAsync("admin/currencies", new { code, name = Iso4217.Currencies[code].Name, exponent = right })).MustBe(201);
    }

    [Fact]
    public async Task Other_codes_and_those_without_an_exponent_take_any()
    {
        var @operator = await system.NewOperatorAsync();
        var own = "Q" + Convert.ToHexString(Guid.NewGuid().ToByteArray())[..10];
        foreach (var code in new[] { own, "XAU", "ANG" })
            (await @operator.PostAsync("admin/currencies", new { code, name = "x", exponent = 6 })).MustBe(201);
    }
}
