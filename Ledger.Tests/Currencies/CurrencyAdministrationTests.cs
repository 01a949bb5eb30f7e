using Ledger.Tests.Harness;

namespace Ledger.Tests.Currencies;

/// <summary>Operators add, enable and disable currencies.</summary>
public sealed class CurrencyAdministrationTests(LedgerSystem system)
{
    [Fact]
    public async Task Currency_can_be_added_used_disabled_and_enabled()
    {
        var apis = await system.ApisAsync();
        var @operator = await system.NewOperatorAsync();
        var user = await system.NewUserAsync();
        var code = "T" + Convert.ToHexString(Guid.NewGuid().ToByteArray())[..10];

        (await @operator.PostAsync("admin/currencies", new { code, name = "Test money", exponent = 4 })).MustBe(201);
        (await @operator.PostAsync("admin/currencies", new { code, name = "Test money", exponent = 4 })).MustBe(409, "currency_exists");
        (await user.DepositAsync("1.2345", code)).MustBe(201);
        Assert.Equal(1.2345m, await user.BalanceAsync(code));

        Assert.Equal("False", (await @operator.PostAsync($"admin/currencies/{code}/disable", "")).MustBe(200)["enabled"]);
        (await user.DepositAsync("1", code)).MustBe(422, "currency_disabled");
        (await @operator.PostAsync($"admin/currencies/{code}/enable", "")).MustBe(200);
        (await user.DepositAsync("1", code)).MustBe(201);
        (await @operator.PostAsync("admin/currencies/NOPE/enable", "")).MustBe(404, "not_found");

        await Eventually.TrueAsync(async () => (await apis[1].GetAsync("currencies")).Text.Contains(code, StringComparison.Ordinal), TimeSpan.FromSeconds(15));
        var acts = (await @operator.GetAsync($"admin/audit?subject={code}")).MustBe(200).Json.GetProperty("items").EnumerateArray();
        Assert.Equal(["currency_enabled", "currency_disabled", "currency_added"], acts.Select(act => act.GetProperty("action").GetString()));
    }

    [Theory]
    [InlineData("""{"code":"usd","name":"x","exponent":2}""", "code")]
    [InlineData("""{"code":"US","name":"x","exponent":2}""", "code")]
    [InlineData("""{"code":"ABC\n","name":"x","exponent":2}""", "code")]
    [InlineData("""{"code":"ABC'; drop table ledger.currencies; --","name":"x","exponent":2}""", "code")]
    [InlineData("""{"code":"ABC","name":"","exponent":2}""", "name")]
    [InlineData("""{"code":"ABC","name":"x","exponent":13}""", "exponent")]
    [InlineData("""{"code":"ABC","name":"x"}""", "exponent")]
    [InlineData("""{"code":"ABC","name":"x","exponent":"2"}""", "exponent")]
    public async Task Invalid_currency_is_refused(string body, string field)
    {
        var answer = (await (await system.NewOperatorAsync()).PostAsync("admin/currencies", body)).MustBe(400, "validation_failed");
        Assert.True(answer.Json.GetProperty("errors").TryGetProperty(field, out _), answer.Text);
    }
}
