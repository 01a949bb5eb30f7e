using Ledger.Api.Identity;

namespace Ledger.Tests.Identity;

/// <summary>The cache of genuine tokens.</summary>
public sealed class TokenCacheTests
{
    private readonly TokenCache<string> _cache = new();

    // A token that is checked again, because its entry is too old, must not be checked at each request from then on.
    [Fact]
    public void Token_that_is_added_again_is_replaced()
    {
        _cache.Add("token", "first");
        _cache.Add("token", "second");
        Assert.Equal("second", _cache.Find("token"));
    }

    [Fact]
    public void Token_in_use_stays_and_one_that_is_not_used_is_dropped()
    {
        _cache.Add("used", "kept");
        _cache.Add("unused", "dropped");
        for (var i = 0; i < 100_000; i++)
        {
            _cache.Add($"{i}", "filling");
            Assert.Equal("kept", _cache.Find("used"));
        }
        Assert.Null(_cache.Find("unused"));
        Assert.Null(_cache.Find("0"));
    }
}
