using System.Net;
using Ledger.ServiceDefaults;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Edge;

/// <summary>Proxies, the path prefix, and headers for browsers.</summary>
public static class EdgeSetup
{
    public static void AddEdge(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<HttpOptions>("Http");
        builder.Services.AddCors();
        builder.Services.AddHsts(hsts => hsts.MaxAge = TimeSpan.FromDays(365));
        // Deployment tools set ASPNETCORE_FORWARDEDHEADERS_ENABLED, which trusts these headers from every client. A client could then
        // choose a new remote address per request and pass every limit per address.
        builder.Services.PostConfigure<ForwardedHeadersOptions>(ofEveryClient => ofEveryClient.ForwardedHeaders = ForwardedHeaders.None);
    }

    /// <summary>Must come before every middleware that reads remote addresses or paths.</summary>
    public static void UseEdge(this WebApplication app)
    {
        var options = app.Services.GetRequiredService<IOptions<HttpOptions>>().Value;
        if (options.KnownProxies.Length > 0)
            app.UseForwardedHeaders(ForwardedBy(options.KnownProxies));
        // Before routing, so that each route exists with the prefix and, for probes, without it.
        if (options.PathPrefix.Length > 0)
            app.UsePathBase(options.PathPrefix);
        app.UseSecurityHeaders();
        // HSTS applies to HTTPS requests only; a proxy that ends TLS says so in X-Forwarded-Proto.
        if (!app.Environment.IsDevelopment())
            app.UseHsts();
        app.UseRouting();
        if (Parts(options.CorsOrigins) is { Length: > 0 } origins)
        {
            app.UseCors(policy => policy
                .WithOrigins(origins).AllowAnyMethod().AllowAnyHeader()
                .WithExposedHeaders("Location", "Idempotency-Replayed", "Retry-After"));
        }
    }

    // Set when the response starts, because an exception clears headers that were set before.
    private static void UseSecurityHeaders(this WebApplication app) => app.Use(next => context =>
    {
        context.Response.OnStarting(static state =>
        {
            var context = (HttpContext)state;
            var headers = context.Response.Headers;
            headers.XContentTypeOptions = "nosniff";
            headers["Referrer-Policy"] = "no-referrer";
            if (context.Request.Path.StartsWithSegments("/api"))
            {
                headers.CacheControl = "no-store";
                headers.ContentSecurityPolicy = "default-src 'none'; frame-ancestors 'none'";
            }
            return Task.CompletedTask;
        }, context);
        return next(context);
    });

    private static ForwardedHeadersOptions ForwardedBy(string proxies)
    {
        var options = new ForwardedHeadersOptions
        {
            ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto | ForwardedHeaders.XForwardedHost,
            // Any number of known proxies; the first unknown address is the client's.
            ForwardLimit = null,
        };
        options.KnownProxies.Clear();
        options.KnownIPNetworks.Clear();
        foreach (var proxy in Parts(proxies))
        {
            if (IPAddress.TryParse(proxy, out var address))
                options.KnownProxies.Add(address);
            else if (System.Net.IPNetwork.TryParse(proxy, out var network))
                options.KnownIPNetworks.Add(network);
            else
                throw new ConfigurationException($"Ledger__Http__KnownProxies: '{proxy}' is neither an IP address nor a network such as 10.0.0.0/8.");
        }
        return options;
    }

    private static string[] Parts(string list) => list.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
}
