using System.Diagnostics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Ledger.ServiceDefaults.Telemetry;

/// <summary>
/// Takes requests out of the traces: probes and scrapes come every few seconds for ever, and would be most of what there is to see.
/// </summary>
/// <remarks>
/// The request's span is already under way by then; the SDK asks at its end whether it is still wanted. So this holds with
/// OpenTelemetry's instrumentation of ASP.NET Core and without it, and what the request causes has a parent that is not recorded.
/// </remarks>
internal static class UntracedRequests
{
    /// <summary>Neither this request nor what it causes is recorded, even if its caller's trace is.</summary>
    public static void Untrace(this HttpContext context)
    {
        if (context.Features.Get<IHttpActivityFeature>()?.Activity is not { } span)
            return;
        span.IsAllDataRequested = false;
        span.ActivityTraceFlags &= ~ActivityTraceFlags.Recorded;
    }

    /// <summary>The same for every request to these endpoints.</summary>
    public static TBuilder Untraced<TBuilder>(this TBuilder endpoints) where TBuilder : IEndpointConventionBuilder
    {
        endpoints.Add(endpoint =>
        {
            var serve = endpoint.RequestDelegate!;
            endpoint.RequestDelegate = context =>
            {
                context.Untrace();
                return serve(context);
            };
        });
        return endpoints;
    }
}
