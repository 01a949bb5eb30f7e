using Ledger.Tests.Harness;

namespace Ledger.Tests.Currencies;

public sealed class CurrencyTests(LedgerSystem system)
{
    [Theory]
    [InlineData("USD", 2, true)]
    [InlineData("EUR", 2, true)]
    [InlineData("GBP", 2, true)]
    [InlineData("JPY", 0, true)]
    [InlineData("RUB", 2, true)]
    [InlineData("KWD", 3, false)]
    [InlineData("CLF", 4, false)]
    [InlineData("CHF", 2, false)]
    public async Task Currencies_are_public_and_have_the_exponents_of_ISO_4217(string code, int exponent, bool enabled)
    {
        var answer = (await (await system.ApiAsync()).GetAsync("currencies")).MustBe(200);

        var currency = Assert.Single(answer.Json.GetProperty("currencies").EnumerateArray(), currency => currency.GetProperty("code").GetString() == code);
        Assert.Equal((exponent, enabled), (currency.GetProperty("exponent").GetInt32(), currency.GetProperty("enabled").GetBoolean()));
        Assert.NotEqual("", currency.GetProperty("name").GetString());
    }

    [Fact]
    public async Task Added_currency_is_usable_at_every_API_within_seconds()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 0);
        var apis = await system.ApisAsync();
        var user = await system.NewUserAsync();

        await Eventually.TrueAsync(async () => (await user.At(apis[0]).DepositAsync("1.00", market.Currency)).Status == 201);

        // The other API may not have read the new currency yet; its reads must work all the same.
        var other = user.At(apis[1]);
        Assert.Contains(market.Currency, (await other.GetAsync("balances")).MustBe(200).Text, StringComparison.Ordinal);
        Assert.Contains(market.Currency, (await other.GetAsync("transactions")).MustBe(200).Text, StringComparison.Ordinal);
        await Eventually.TrueAsync(async () => (await other.DepositAsync("1.00", market.Currency)).Status == 201);
    }
}
