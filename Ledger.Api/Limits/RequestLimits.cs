using Ledger.Api.Edge;
using Ledger.Api.Errors;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Limits;

public static class RequestLimits
{
    // Times the limit: what a client sends beyond that is not read only to tell it so.
    private const int ReadAtMost = 16;

    public static void AddRequestLimits(this IHostApplicationBuilder builder)
    {
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

    public static void UseRequestLimits(this WebApplication app)
    {
        app.UseRequestTimeouts();
        app.UseBodyLimit();
    }

    /// <summary>
    /// Refuses a body that says of itself that it is too large, once it is all there: who finds the connection closed while it
    /// still sends does not see the answer.
    /// </summary>
    private static void UseBodyLimit(this WebApplication app)
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
