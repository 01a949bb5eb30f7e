using System.Globalization;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Balances;

public sealed class BalanceTests(LedgerSystem system)
{
    [Fact]
    public async Task A_new_user_has_nothing()
    {
        var user = await system.NewUserAsync();

        Assert.Empty((await user.GetAsync("balances")).MustBe(200).Json.GetProperty("balances").EnumerateArray());
        var balance = (await user.GetAsync("balances/JPY")).MustBe(200);
        Assert.Equal(("", "JPY", "0", "0", "0"), (balance["accountId"], balance["currency"], balance["posted"], balance["held"], balance["available"]));
    }

    [Fact]
    public async Task Balances_stand_side_by_side_per_currency_with_its_digits()
    {
        var user = await system.NewUserAsync("12.30");
        (await user.DepositAsync("500", "JPY")).MustBe(201);
        (await user.WithdrawAsync("0.05")).MustBe(201);

        var balances = (await user.GetAsync("balances")).MustBe(200).Json.GetProperty("balances").EnumerateArray()
            .Select(balance => (balance.GetProperty("currency").GetString(), balance.GetProperty("posted").GetString(), balance.GetProperty("available").GetString()));

        Assert.Equal([("JPY", "500", "500"), ("USD", "12.25", "12.25")], balances);
    }

    [Fact]
    public async Task A_balance_can_be_asked_for_as_it_stood()
    {
        var user = await system.NewUserAsync();
        var before = (await user.DepositAsync("10.00", "EUR")).MustBe(201)["postedAt"]!;
        var first = (await user.DepositAsync("1.00")).MustBe(201)["postedAt"]!;
        var second = (await user.WithdrawAsync("0.40")).MustBe(201)["postedAt"]!;

        Assert.Equal("0.00", await StoodAsync(before));
        Assert.Equal("1.00", await StoodAsync(first));
        Assert.Equal("1.00", await StoodAsync(Shift(second, -1)));
        Assert.Equal("0.60", await StoodAsync(second));
        Assert.Equal("0.60", await StoodAsync("2999-01-01T00:00:00Z"));
        Assert.Equal("0.60", await StoodAsync(Uri.EscapeDataString("2999-01-01T00:00:00+01:00")));

        async Task<string?> StoodAsync(string at) => (await user.GetAsync($"balances/USD?at={at}")).MustBe(200)["posted"];
        static string Shift(string time, int microseconds) =>
            DateTimeOffset.Parse(time, CultureInfo.InvariantCulture).AddMicroseconds(microseconds).UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);
    }

    [Theory]
    [InlineData("XXX")]
    [InlineData("usd")]
    [InlineData("%27%3B--")]
    public async Task A_currency_that_does_not_exist_has_no_balance(string currency) =>
        (await (await system.NewUserAsync()).GetAsync($"balances/{currency}")).MustBe(404, "not_found");

    [Theory]
    [InlineData("yesterday")]
    [InlineData("2026-01-31")]
    [InlineData("2026-01-31T12:00:00")]
    [InlineData("2026-02-30T12:00:00Z")]
    [InlineData("2026-01-31T12:00Z")]
    [InlineData("1767225600")]
    [InlineData("")]
    public async Task A_time_is_one_of_RFC_3339(string at)
    {
        var answer = (await (await system.NewUserAsync()).GetAsync($"balances/USD?at={at}")).MustBe(400, "validation_failed");
        Assert.True(answer.Json.GetProperty("errors").TryGetProperty("at", out _), answer.Text);
    }
}
