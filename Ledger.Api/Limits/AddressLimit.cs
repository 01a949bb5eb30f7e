using System.Net.Sockets;
using System.Threading.RateLimiting;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Limits;

/// <summary>
/// The token buckets of remote addresses. Requests with a password take from them, and so do transfers to e-mail addresses that are not
/// registered, so that neither passwords nor registered addresses can be searched for.
/// </summary>
public sealed class AddressLimit(IOptions<RateLimitOptions> options, IHostEnvironment environment) : IDisposable
{
    private readonly PartitionedRateLimiter<string> _buckets = PartitionedRateLimiter.Create<string, string>(
        network => RateLimitPartition.GetTokenBucketLimiter(network, _ => RateLimits.PerMinute(options.Value)));

    /// <summary>Whether limits apply.</summary>
    public bool IsOn { get; } = options.Value.Enabled ?? !environment.IsDevelopment();

    /// <summary>Takes a token from the bucket of the request's remote address.</summary>
    /// <returns>Null if limits do not apply.</returns>
    public RateLimitLease? Take(HttpContext context) => IsOn ? _buckets.AttemptAcquire(NetworkOf(context), 1) : null;

    /// <summary>The refusal if the bucket of the request's remote address has no whole token; otherwise null, and nothing is taken.</summary>
    // A lease of no tokens would do for a part of a token, too.
    public RateLimitLease? RefuseIfEmpty(HttpContext context) =>
        IsOn && _buckets.GetStatistics(NetworkOf(context)) is { CurrentAvailablePermits: < 1 } && Take(context) is { IsAcquired: false } refusal ? refusal : null;

    /// <summary>The bucket of the request's remote address, for the rate limiter of an endpoint.</summary>
    internal RateLimitPartition<string> PartitionOf(HttpContext context) =>
        IsOn ? RateLimitPartition.Get(NetworkOf(context), network => new Bucket(_buckets, network)) : RateLimitPartition.GetNoLimiter("");

    public void Dispose() => _buckets.Dispose();

    // One IPv6 client usually has a network of 2^64 addresses.
    private static string NetworkOf(HttpContext context)
    {
        if (context.Connection.RemoteIpAddress is not { } address)
            return "";
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        return address.AddressFamily == AddressFamily.InterNetworkV6 ? Convert.ToHexString(address.GetAddressBytes(), 0, 8) : address.ToString();
    }

    // It has no state of its own, so the middleware may forget it at any time.
    private sealed class Bucket(PartitionedRateLimiter<string> buckets, string network) : RateLimiter
    {
        public override TimeSpan? IdleDuration => TimeSpan.MaxValue;

        public override RateLimiterStatistics? GetStatistics() => buckets.GetStatistics(network);

        protected override RateLimitLease AttemptAcquireCore(int permitCount) => buckets.AttemptAcquire(network, permitCount);

        protected override ValueTask<RateLimitLease> AcquireAsyncCore(int permitCount, CancellationToken cancellationToken) =>
            buckets.AcquireAsync(network, permitCount, cancellationToken);
    }
}
