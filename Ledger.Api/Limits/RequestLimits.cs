using Ledger.Api.Edge;
using Ledger.Api.Errors;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Limits;

/// <summary>Limits of one request: the size of its headers and its body, and its time.</summary>
public static class RequestLimits
{
    // Times the limit. A larger body is not read only to answer 413.
    private const int ReadAtMost = 16;

    public static void AddRequestLimits(this IHostApplicationBuilder builder)
    {
        builder.Services.AddOptions<KestrelServerOptions>().Configure<IOptions<HttpOptions>>((kestrel, http) =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = http.Value.MaxBodyBytes;
            // Kestrel answers larger headers itself, with 431 and no body, before the application sees the request.
            kestrel.Limits.MaxRequestHeadersTotalSize = http.Value.MaxHeaderBytes;
            // For bodies, Kestrel's minimum rate applies: 240 bytes per second, after five seconds.
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(http.Value.HeaderSeconds);
        });
        // Each idle connection keeps a buffer of 4 KB, which saves one system call per request.
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

    // Refuses a body by its Content-Length, but only after reading it: a client whose connection is closed while it sends does not
    // see the answer.
    private static void UseBodyLimit(this WebApplication app)
    {
        var limit = app.Services.GetRequiredService<IOptions<HttpOptions>>().Value.MaxBodyBytes;
        app.Use(next => context => context.Request.ContentLength > limit ? RefuseAsync(context, limit) : next(context));
    }

    private static async Task RefuseAsync(HttpContext context, long limit)
    {
        // A client with Expect: 100-continue has not sent the body yet.
        if (context.Request.ContentLength <= limit * ReadAtMost && context.Request.Headers.Expect.Count == 0
            && context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = context.Request.ContentLength;
            await context.Request.Body.CopyToAsync(Stream.Null, context.RequestAborted);
        }
        await Problem.Of(context, StatusCodes.Status413PayloadTooLarge, null, $"The body is larger than {limit} bytes.").ExecuteAsync(context);
    }
}
