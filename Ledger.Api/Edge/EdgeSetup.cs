using System.Net;
using Ledger.ServiceDefaults;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Edge;

/// <summary>What stands between the outside and the endpoints: proxies, a path prefix, browsers.</summary>
public static class EdgeSetup
{
    public static void AddEdge(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<HttpOptions>("Http");
        builder.Services.AddCors();
        builder.Services.AddHsts(hsts => hsts.MaxAge = TimeSpan.FromDays(365));
        // With ASPNETCORE_FORWARDEDHEADERS_ENABLED, which tools for deployment like to set, the framework believes these headers of
        // anybody: with an address of one's own choice at each attempt, no limit per address holds. Known proxies alone are believed.
        builder.Services.PostConfigure<ForwardedHeadersOptions>(anybody => anybody.ForwardedHeaders = ForwardedHeaders.None);
    }

    /// <summary>Before everything that looks at addresses or paths.</summary>
    public static void UseEdge(this WebApplication app)
    {
        var options = app.Services.GetRequiredService<IOptions<HttpOptions>>().Value;
        if (options.KnownProxies.Length > 0)
            app.UseForwardedHeaders(ForwardedBy(options.KnownProxies));
        // Before routes are looked up, so that each exists with the prefix and, for probes, without; addresses in answers have it.
        if (options.PathPrefix.Length > 0)
            app.UsePathBase(options.PathPrefix);
        app.UseSecurityHeaders();
        // Only what came by https is answered with it; a proxy that ends TLS says so in X-Forwarded-Proto.
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

    // Set when the answer begins: what an exception clears away is set again.
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
            // As many as there are known proxies in a row; the first unknown address is the client's.
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
                throw new ConfigurationException($"Ledger__Http__KnownProxies: '{proxy}' is neither an address nor a network such as 10.0.0.0/8.");
        }
        return options;
    }

    private static string[] Parts(string list) => list.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
}
