using System.Diagnostics;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Http.Features;

namespace Ledger.Api.Http;

/// <summary>
/// Names the span of a request by its route and says how it ended, by OpenTelemetry's conventions. The framework leaves that
/// to OpenTelemetry's instrumentation, which is not on every package feed; where it is, it says the same.
/// </summary>
public static class RequestSpans
{
    public static void UseRequestSpans(this WebApplication app) => app.Use(next => context =>
        context.Features.Get<IHttpActivityFeature>()?.Activity is { Recorded: true } span ? DescribeAsync(span, context, next) : next(context));

    private static async Task DescribeAsync(Activity span, HttpContext context, RequestDelegate next)
    {
        await next(context);

        // The handler of exceptions takes the endpoint away.
        var endpoint = context.Features.Get<IExceptionHandlerFeature>()?.Endpoint ?? context.GetEndpoint();
        var route = (endpoint as RouteEndpoint)?.RoutePattern.RawText;
        span.DisplayName = route is null ? context.Request.Method : $"{context.Request.Method} {route}";
        span.SetTag("http.route", route);
        span.SetTag("http.response.status_code", context.Response.StatusCode);
        if (context.Response.StatusCode >= 500)
            span.SetStatus(ActivityStatusCode.Error);
    }
}
