using System.Threading.RateLimiting;
using Ledger.Api.Limits;
using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Limits;

/// <summary>Rate limits apply as configured.</summary>
public sealed class RateLimitTests(LedgerSystem system)
{
    [Theory]
    [InlineData(1)]
    [InlineData(9)]
    [InlineData(10)]
    [InlineData(19)]
    [InlineData(59)]
    [InlineData(60)]
    [InlineData(119)]
    [InlineData(1_000)]
    [InlineData(999_999)]
    [InlineData(1_000_000)]
    public void Bucket_fills_at_the_configured_rate_up_to_the_configured_burst(int rate)
    {
        var options = new RateLimitOptions { UserPerSecond = rate, UserBurst = 7, ServicePerSecond = rate, ServiceBurst = 9, AddressPerMinute = rate, AddressBurst = 11 };
        var (user, service, address) = (RateLimits.PerSecond(options), RateLimits.OfService(options), RateLimits.PerMinute(options));

        Assert.Equal((7, 9, 11), (user.TokenLimit, service.TokenLimit, address.TokenLimit));
        Assert.Equal(1, RateOf(user, TimeSpan.FromSeconds(1)) / rate, 1e-5);
        Assert.Equal(1, RateOf(service, TimeSpan.FromSeconds(1)) / rate, 1e-5);
        Assert.Equal(1, RateOf(address, TimeSpan.FromMinutes(1)) / rate, 1e-5);
    }

    [Fact]
    public async Task Logins_are_limited_per_address_and_deposits_per_user_and_per_service_account()
    {
        using var api = await system.StartApiAsync(
            ("Ledger__RateLimit__Enabled", "true"), ("Ledger__RateLimit__UserPerSecond", "1"), ("Ledger__RateLimit__UserBurst", "5"), ("Ledger__RateLimit__ServicePerSecond", "1"), ("Ledger__RateLimit__ServiceBurst", "30"),
            ("Ledger__RateLimit__AddressPerMinute", "1"), ("Ledger__RateLimit__AddressBurst", "4"));
        var (hasty, calm) = ((await system.NewUserAsync()).At(api), (await system.NewUserAsync()).At(api));

        var deposits = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => hasty.DepositAsync("1.00")));

        Assert.InRange(deposits.Count(answer => answer.Status == 201), 5, 15);
        var refused = deposits.First(answer => answer.Status != 201).MustBe(429, "rate_limited");
        Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        // The limit of one user does not affect another.
        (await calm.DepositAsync("1.00")).MustBe(201);
        Assert.Equal(deposits.Count(answer => answer.Status == 201), await hasty.At(await system.ApiAsync()).BalanceAsync());

        // A service account has a limit of its own, for all users for whom it acts.
        var service = await system.NewServiceAsync(Scopes.Transactions);
        var body = new { currency = "USD", amount = "1.00", onBehalfOf = calm.Id };
        var served = await Task.WhenAll(Enumerable.Range(0, 60).Select(_ => api.PostAsync("deposits", body, service.Key)));
        Assert.InRange(served.Count(answer => answer.Status == 201), 30, 50);
        served.First(answer => answer.Status != 201).MustBe(429, "rate_limited");

        var logins = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => api.PostAsync("identity/login", new { email = "nobody@example.com", password = "wrong password" })));
        Assert.InRange(logins.Count(answer => answer.Status == 401), 4, 6);
        Assert.InRange(logins.First(answer => answer.Status == 429).MustBe(429, "rate_limited").Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
    }

    /// <summary>Transfers to unknown addresses take from the bucket that logins take from; without tokens, a known address gets the same answer.</summary>
    [Fact]
    public async Task Transfers_to_unknown_addresses_are_limited_per_address_and_others_are_not()
    {
        using var api = await system.StartApiAsync(
            ("Ledger__RateLimit__Enabled", "true"), ("Ledger__RateLimit__AddressPerMinute", "1"), ("Ledger__RateLimit__AddressBurst", "3"));
        var (sender, friend) = ((await system.NewUserAsync("10.00")).At(api), await system.NewUserAsync());
        var @operator = (await system.NewOperatorAsync()).At(api);

        // Known addresses take nothing.
        for (var i = 0; i < 5; i++)
            (await sender.TransferAsync(friend.Email, "0.01")).MustBe(201);
        // A sender without money does not learn who is registered, and the miss counts all the same.
        (await sender.TransferAsync("unknown-0@example.com", "100.00")).MustBe(422, "insufficient_funds");
        (await sender.TransferAsync("unknown-1@example.com", "0.01")).MustBe(422, "recipient_unknown");
        // Pending, or decided in the meantime.
        Assert.True((await sender.TransferAsync("unknown-2@example.com", "0.01", prefer: "respond-async")).Status is 202 or 422);

        Assert.InRange((await sender.TransferAsync("unknown-3@example.com", "0.01")).MustBe(429, "rate_limited").Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        (await sender.TransferAsync(friend.Email, "0.01")).MustBe(429, "rate_limited");
        (await api.PostAsync("identity/login", new { email = friend.Email, password = LedgerApi.Password })).MustBe(429, "rate_limited");
        (await sender.TransferAsync(friend, "0.01")).MustBe(201);
        (await @operator.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = "unknown-4@example.com" })).MustBe(422, "recipient_unknown");
    }

    // As TokenBucketRateLimiter replenishes without a timer of its own: by the ticks that have passed.
    private static double RateOf(TokenBucketRateLimiterOptions bucket, TimeSpan per) =>
        (double)bucket.TokensPerPeriod / bucket.ReplenishmentPeriod.Ticks * per.Ticks;
}
