using System.Threading.RateLimiting;
using Ledger.Api.Limits;

namespace Ledger.Tests.Limits;

/// <summary>A limit is the one that was set, whatever number it is.</summary>
public sealed class RateLimitTests
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
    public void A_bucket_fills_as_fast_as_was_set_and_no_further(int rate)
    {
        var options = new RateLimitOptions { UserPerSecond = rate, UserBurst = 7, AddressPerMinute = rate, AddressBurst = 11 };
        var (user, address) = (RateLimits.PerSecond(options), RateLimits.PerMinute(options));

        Assert.Equal((7, 11), (user.TokenLimit, address.TokenLimit));
        Assert.Equal(1, RateOf(user, TimeSpan.FromSeconds(1)) / rate, 1e-5);
        Assert.Equal(1, RateOf(address, TimeSpan.FromMinutes(1)) / rate, 1e-5);
    }

    // As TokenBucketRateLimiter counts where it does not keep a timer of its own: tokens per tick, by the ticks that went by.
    private static double RateOf(TokenBucketRateLimiterOptions bucket, TimeSpan per) =>
        (double)bucket.TokensPerPeriod / bucket.ReplenishmentPeriod.Ticks * per.Ticks;
}
