using System.ComponentModel.DataAnnotations;
using Ledger.Api.Problems;
using Ledger.ServiceDefaults;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Http;

/// <summary>What one request may be, and how the outside reaches this process: <c>Ledger__Http__…</c>.</summary>
public sealed class HttpOptions
{
    /// <summary>Bytes of a request body. The most that a command may say, every character of it escaped, takes about 170,000.</summary>
    [Range(1_024, 100_000_000)]
    public int MaxBodyBytes { get; set; } = 256 * 1024;

    /// <summary>Bytes of all of a request's headers.</summary>
    [Range(4_096, 1_000_000)]
    public int MaxHeaderBytes { get; set; } = 16 * 1024;

    /// <summary>Seconds that a request's headers may take to arrive.</summary>
    [Range(1, 600)]
    public int HeaderSeconds { get; set; } = 15;

    /// <summary>Seconds after which a request is given up with 503. Commands have a bound of their own, which clients choose.</summary>
    [Range(1, 600)]
    public int RequestSeconds { get; set; } = 30;

    /// <summary>The path below which an ingress serves the API, such as <c>/ledger</c>, and which it passes on; empty for none.</summary>
    [RegularExpression("(/[A-Za-z0-9._~-]+)*", ErrorMessage = "{0} takes a path such as /ledger.")]
    public string PathPrefix { get; set; } = "";

    /// <summary>Addresses or networks (CIDR) of the proxies whose X-Forwarded-For, -Proto and -Host are believed, separated by commas.</summary>
    public string KnownProxies { get; set; } = "";

    /// <summary>Origins whose pages may call the API from a browser, separated by commas; none unless set.</summary>
    public string CorsOrigins { get; set; } = "";
}

public static class HttpLimits
{
    // Times the limit: what a client sends beyond that is not read only to tell it so.
    private const int ReadAtMost = 16;

    public static void AddHttpLimits(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<HttpOptions>("Http");
        builder.Services.AddOptions<KestrelServerOptions>().Configure<IOptions<HttpOptions>>((kestrel, http) =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = http.Value.MaxBodyBytes;
            // Beyond it Kestrel answers by itself, before the application hears of the request: 431, without a body.
            kestrel.Limits.MaxRequestHeadersTotalSize = http.Value.MaxHeaderBytes;
            // Bodies have Kestrel's own minimum: 240 bytes a second, after five seconds.
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(http.Value.HeaderSeconds);
        });
        // A connection that waits for its next request keeps a buffer of 4 KB; without it, each request takes one more call of the kernel.
        builder.Services.Configure<SocketTransportOptions>(sockets => sockets.WaitForDataBeforeAllocatingBuffer = false);
        builder.Services.AddRequestTimeouts(_ => { });
        builder.Services.AddOptions<RequestTimeoutOptions>().Configure<IOptions<HttpOptions>>((timeouts, http) =>
            timeouts.DefaultPolicy = new RequestTimeoutPolicy
            {
                Timeout = TimeSpan.FromSeconds(http.Value.RequestSeconds),
                TimeoutStatusCode = StatusCodes.Status503ServiceUnavailable,
            });
    }

    /// <summary>
    /// Refuses a body that says of itself that it is too large, once it is all there: who finds the connection closed while it
    /// still sends does not see the answer.
    /// </summary>
    public static void UseBodyLimit(this WebApplication app)
    {
        var limit = app.Services.GetRequiredService<IOptions<HttpOptions>>().Value.MaxBodyBytes;
        app.Use(next => context => context.Request.ContentLength > limit ? RefuseAsync(context, limit) : next(context));
    }

    private static async Task RefuseAsync(HttpContext context, long limit)
    {
        // A client that asks first (Expect: 100-continue) has sent nothing yet.
        if (context.Request.ContentLength <= limit * ReadAtMost && context.Request.Headers.Expect.Count == 0
            && context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = context.Request.ContentLength;
            await context.Request.Body.CopyToAsync(Stream.Null, context.RequestAborted);
        }
        await Problem.Of(context, StatusCodes.Status413PayloadTooLarge, null, $"The body is larger than {limit} bytes.").ExecuteAsync(context);
    }
}
