using System.ComponentModel.DataAnnotations;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Threading.RateLimiting;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Core;
using Ledger.ServiceDefaults;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Limits;

/// <summary>Rate limits of one API process: <c>Ledger__RateLimit__…</c>.</summary>
public sealed class RateLimitOptions
{
    /// <summary>Whether the limits apply; by default everywhere except in Development.</summary>
    public bool? Enabled { get; set; }

    /// <summary>Requests per second of one user, in the long run.</summary>
    [Range(1, 1_000_000)]
    public int UserPerSecond { get; set; } = 1_000;

    /// <summary>Requests of one user at once.</summary>
    [Range(1, 1_000_000)]
    public int UserBurst { get; set; } = 2_000;

    /// <summary>Requests per second of one service account, which acts for many users, in the long run.</summary>
    [Range(1, 1_000_000)]
    public int ServicePerSecond { get; set; } = 20_000;

    /// <summary>Requests of one service account at once.</summary>
    [Range(1, 1_000_000)]
    public int ServiceBurst { get; set; } = 40_000;

    /// <summary>Requests per minute of one remote address to register, log in, refresh or change a password, and transfers to unknown e-mail addresses or external ids, in the long run.</summary>
    [Range(1, 1_000_000)]
    public int AddressPerMinute { get; set; } = 60;

    /// <summary>Such requests of one remote address at once.</summary>
    [Range(1, 1_000_000)]
    public int AddressBurst { get; set; } = 60;
}

/// <summary>
/// Token buckets. One bucket per user or service account, so that none crowds out the others. A much stricter one per remote address for
/// requests that check or hash a password.
/// </summary>
public static class RateLimits
{
    /// <summary>The policy of requests by authenticated callers: users, and service accounts with limits of their own.</summary>
    public const string PerUser = "user";

    /// <summary>The policy of anonymous requests, and of those with a password.</summary>
    public const string PerAddress = "address";

    private static readonly string[] s_policies = [PerUser, "service", PerAddress];
    private static readonly long[] s_refused = new long[3];

    public static void AddRateLimits(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<RateLimitOptions>("RateLimit");
        LedgerTelemetry.Meter.CreateObservableCounter("ledger.rate_limited", ObserveRefused, "{request}", "Requests that were answered 429, by policy: user, service or address.");

        builder.Services.AddRateLimiter(_ => { });
        builder.Services.AddSingleton<AddressLimit>();
        builder.Services.AddOptions<RateLimiterOptions>().Configure<IOptions<RateLimitOptions>, AddressLimit>((limiter, options, addresses) =>
        {
            var limits = options.Value;
            limiter.AddPolicy(PerUser, context =>
                !addresses.IsOn ? RateLimitPartition.GetNoLimiter(Guid.Empty)
                : context.User.Identity is Caller caller ? RateLimitPartition.GetTokenBucketLimiter(caller.Id, _ => caller.IsUser ? PerSecond(limits) : OfService(limits))
                // Authorization refuses anonymous requests right after this.
                : RateLimitPartition.GetNoLimiter(Guid.Empty));
            limiter.AddPolicy(PerAddress, addresses.PartitionOf);
            limiter.OnRejected = RefuseAsync;
        });
    }

    /// <summary>The bucket of one user.</summary>
    internal static TokenBucketRateLimiterOptions PerSecond(RateLimitOptions limits) => Bucket(limits.UserBurst, limits.UserPerSecond, TimeSpan.FromSeconds(1), 10);

    /// <summary>The bucket of one service account.</summary>
    internal static TokenBucketRateLimiterOptions OfService(RateLimitOptions limits) => Bucket(limits.ServiceBurst, limits.ServicePerSecond, TimeSpan.FromSeconds(1), 10);

    /// <summary>The bucket of one remote address.</summary>
    internal static TokenBucketRateLimiterOptions PerMinute(RateLimitOptions limits) => Bucket(limits.AddressBurst, limits.AddressPerMinute, TimeSpan.FromMinutes(1), 60);

    // Tokens are whole numbers, so the period makes the rate exact. The period is no multiple of the framework's heartbeat, but the
    // bucket of a partition counts fractions of a token.
    private static TokenBucketRateLimiterOptions Bucket(int burst, int rate, TimeSpan per, int periods)
    {
        var tokens = Math.Max(1, rate / periods);
        return new() { TokenLimit = burst, TokensPerPeriod = tokens, ReplenishmentPeriod = per * ((double)tokens / rate) };
    }

    /// <summary>The problem of a request that got no token.</summary>
    /// <param name="policy">Whose bucket is empty: <see cref="PerUser"/> or <see cref="PerAddress"/>.</param>
    internal static ProblemHttpResult Refused(HttpContext context, string policy, RateLimitLease lease)
    {
        Interlocked.Increment(ref s_refused[policy == PerAddress ? 2 : context.User.Identity is Caller { IsUser: false } ? 1 : 0]);
        var wait = lease.TryGetMetadata(MetadataName.RetryAfter, out var after) ? after : TimeSpan.FromSeconds(1);
        context.Response.Headers.RetryAfter = Math.Max(1, (int)Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
        return Problem.Of(context, StatusCodes.Status429TooManyRequests, "rate_limited", "Too many requests. Retry after the time in Retry-After.");
    }

    private static async ValueTask RefuseAsync(OnRejectedContext rejected, CancellationToken cancellationToken)
    {
        var context = rejected.HttpContext;
        var policy = context.GetEndpoint()?.Metadata.GetMetadata<EnableRateLimitingAttribute>()?.PolicyName;
        await Refused(context, policy ?? PerUser, rejected.Lease).ExecuteAsync(context);
    }

    // Observed, so that each series exists at zero: Prometheus sees no increase in one that begins at 1.
    private static IEnumerable<Measurement<long>> ObserveRefused()
    {
        for (var i = 0; i < s_policies.Length; i++)
            yield return new Measurement<long>(Interlocked.Read(ref s_refused[i]), new KeyValuePair<string, object?>("policy", s_policies[i]));
    }
}
