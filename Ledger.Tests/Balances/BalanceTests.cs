using System.Globalization;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Balances;

public sealed class BalanceTests(LedgerSystem system)
{
    [Fact]
    public async Task New_user_has_no_balances()
    {
        var user = await system.NewUserAsync();

        Assert.Empty((await user.GetAsync("balances")).MustBe(200).Json.GetProperty("balances").EnumerateArray());
        var balance = (await user.GetAsync("balances/JPY")).MustBe(200);
        Assert.Equal(("JPY", "0", "0", "0"), (balance["currency"], balance["posted"], balance["held"], balance["available"]));
    }

    [Fact]
    public async Task Balances_are_listed_per_currency_with_the_digits_of_its_exponent()
    {
        var user = await system.NewUserAsync("12.30");
        (await user.DepositAsync("500", "JPY")).MustBe(201);
        (await user.WithdrawAsync("0.05")).MustBe(201);

        var balances = (await user.GetAsync("balances")).MustBe(200).Json.GetProperty("balances").EnumerateArray()
            .Select(balance => (balance.GetProperty("currency").GetString(), balance.GetProperty("posted").GetString(), balance.GetProperty("available").GetString()));

        Assert.Equal([("JPY", "500", "500"), ("USD", "12.25", "12.25")], balances);
    }

    [Fact]
    public async Task Balance_is_available_at_a_past_time()
    {
        var user = await system.NewUserAsync();
        var before = (await user.DepositAsync("10.00", "EUR")).MustBe(201)["postedAt"]!;
        var first = (await user.DepositAsync("1.00")).MustBe(201)["postedAt"]!;
        var second = (await user.WithdrawAsync("0.40")).MustBe(201)["postedAt"]!;

        Assert.Equal("0.00", await StoodAsync(before));
        Assert.Equal("1.00", await StoodAsync(first));
        Assert.Equal("1.00", await StoodAsync(Shift(second, -1)));
        Assert.Equal("0.60", await StoodAsync(second));
        // Any offset.
        Assert.Equal("0.60", await StoodAsync(Uri.EscapeDataString(DateTimeOffset.Parse(second, CultureInfo.InvariantCulture)
            .ToOffset(TimeSpan.FromHours(1)).ToString("yyyy-MM-dd'T'HH:mm:ss.ffffffzzz", CultureInfo.InvariantCulture))));
        // Digits finer than microseconds are cut off.
        Assert.Equal("1.00", await StoodAsync(Shift(second, -1).Replace("Z", "999999Z", StringComparison.Ordinal)));
        Assert.Equal("0.60", await StoodAsync(Shift(second, 0).Replace("Z", "000000Z", StringComparison.Ordinal)));
        // Without an offset it is UTC.
        Assert.Equal("1.00", await StoodAsync(Shift(second, -1).TrimEnd('Z')));
        Assert.Equal("0.60", await StoodAsync(Shift(second, 0).TrimEnd('Z')));

        async Task<string?> StoodAsync(string at) => (await user.GetAsync($"balances/USD?at={at}")).MustBe(200)["posted"];
        static string Shift(string time, int microseconds) =>
            DateTimeOffset.Parse(time, CultureInfo.InvariantCulture).AddMicroseconds(microseconds).UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);
    }

    [Theory]
    [InlineData("XXX")]
    [InlineData("usd")]
    [InlineData("%27%3B--")]
    public async Task Balance_in_unknown_currency_is_not_found(string currency) =>
        (await (await system.NewUserAsync()).GetAsync($"balances/{currency}")).MustBe(404, "not_found");

    [Theory]
    [InlineData("yesterday")]
    [InlineData("2026-01-31")]
    [InlineData("2026-02-30T12:00:00Z")]
    [InlineData("2026-01-31T12:00Z")]
    [InlineData("1767225600")]
    [InlineData("")]
    [InlineData("2026-01-31T12:00:00.Z")]
    [InlineData("2026-01-31T12:00:00,5Z")]
    [InlineData("2026-01-31T12:00:00%2B0100")]
    [InlineData("2026-01-31T12:00:00%2B01")]
    [InlineData("2026-01-31T12:00:00%2B1:00")]
    [InlineData("2026-01-31T12:00:00%2B24:00")]
    [InlineData("2026-01-31T12:00:00%2B01:60")]
    [InlineData("2026-01-31T12:00:00+01:00")]
    [InlineData("2026-01-31T12:00:00%20Z")]
    [InlineData("2026-01-31%2012:00:00Z")]
    [InlineData("%202026-01-31T12:00:00Z")]
    [InlineData("2026-01-31T12:00:00Z%0A")]
    [InlineData("2026-01-31T24:00:00Z")]
    [InlineData("2026-01-31T12:60:00Z")]
    [InlineData("2026-01-31T12:00:60Z")]
    [InlineData("2026-01-31T12:00:61Z")]
    [InlineData("2026-1-31T12:00:00Z")]
    [InlineData("0000-01-01T00:00:00Z")]
    [InlineData("0001-01-01T00:00:00%2B00:01")]
    [InlineData("9999-12-31T23:59:59-00:01")]
    [InlineData("%D9%A2026-01-31T12:00:00Z")]
    public async Task Time_that_is_not_RFC_3339_is_refused(string at)
    {
        var answer = (await (await system.NewUserAsync()).GetAsync($"balances/USD?at={at}")).MustBe(400, "validation_failed");
        Assert.True(answer.Json.GetProperty("errors").TryGetProperty("at", out _), answer.Text);
    }

    [Theory]
    [InlineData("1999-01-31t12:00:00z")]
    [InlineData("1999-01-31T12:00:00.1Z")]
    [InlineData("1999-01-31T12:00:00.123456789Z")]
    [InlineData("1999-01-31T12:00:00.1234567890123456789012345678901234567890Z")]
    [InlineData("1999-01-31T12:00:00-00:00")]
    [InlineData("1999-01-31T12:00:00.5%2B23:59")]
    [InlineData("1999-01-31T12:00:00-23:59")]
    [InlineData("2016-12-31T23:59:60Z")]
    [InlineData("1990-12-31T15:59:60-08:00")]
    [InlineData("0001-01-01T00:00:00Z")]
    public async Task Every_RFC_3339_time_is_accepted(string at) => (await (await system.NewUserAsync()).GetAsync($"balances/USD?at={at}")).MustBe(200);

    [Theory]
    [InlineData("2999-01-01T00:00:00Z")]
    [InlineData("9999-12-31T23:59:59.9999999Z")]
    public async Task Time_in_the_future_is_refused(string at)
    {
        var answer = (await (await system.NewUserAsync()).GetAsync($"balances/USD?at={at}")).MustBe(400, "validation_failed");
        Assert.True(answer.Json.GetProperty("errors").TryGetProperty("at", out _), answer.Text);
    }

    [Fact]
    public async Task Balance_at_a_time_stays_true_while_several_clients_deposit()
    {
        const int Clients = 4;
        var user = await system.NewUserAsync("1.00");
        using var over = new CancellationTokenSource();
        var depositing = Enumerable.Range(0, Clients).Select(async _ =>
        {
            while (!over.IsCancellationRequested)
                (await user.DepositAsync("0.01")).MustBe(201);
        }).ToArray();

        var answers = new List<(string At, string? Posted)>();
        while (answers.Select(answer => answer.Posted).Distinct().Count() < 20)
        {
            var at = DateTime.UtcNow.AddMilliseconds(-0.5).ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);
            answers.Add((at, (await user.GetAsync($"balances/USD?at={at}")).MustBe(200)["posted"]));
        }
        await over.CancelAsync();
        await Task.WhenAll(depositing);

        foreach (var (at, posted) in answers)
            Assert.Equal((at, posted), (at, (await user.GetAsync($"balances/USD?at={at}")).MustBe(200)["posted"]));
    }
}
