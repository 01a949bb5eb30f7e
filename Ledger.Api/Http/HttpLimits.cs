using System.ComponentModel.DataAnnotations;
using Ledger.ServiceDefaults;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Http;

/// <summary>What one request may be: <c>Ledger__Http__…</c>.</summary>
public sealed class HttpOptions
{
    /// <summary>Bytes of a request body.</summary>
    [Range(1_024, 100_000_000)]
    public int MaxBodyBytes { get; set; } = 64 * 1024;

    /// <summary>Bytes of all of a request's headers.</summary>
    [Range(4_096, 1_000_000)]
    public int MaxHeaderBytes { get; set; } = 16 * 1024;

    /// <summary>The path below which an ingress serves the API, such as <c>/ledger</c>, and which it passes on; empty for none.</summary>
    [RegularExpression("(/[A-Za-z0-9._~-]+)*", ErrorMessage = "{0} takes a path such as /ledger.")]
    public string PathPrefix { get; set; } = "";
}

public static class HttpLimits
{
    public static void AddHttpLimits(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<HttpOptions>("Http");
        builder.Services.AddOptions<KestrelServerOptions>().Configure<IOptions<HttpOptions>>((kestrel, http) =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = http.Value.MaxBodyBytes;
            kestrel.Limits.MaxRequestHeadersTotalSize = http.Value.MaxHeaderBytes;
        });
    }

    /// <summary>
    /// Takes the prefix from the path before routes are looked up, so that each of them exists with it and, for probes, without;
    /// addresses in answers have it.
    /// </summary>
    public static void UsePathPrefix(this WebApplication app)
    {
        var prefix = app.Services.GetRequiredService<IOptions<HttpOptions>>().Value.PathPrefix;
        if (prefix.Length == 0)
            return;
        app.UsePathBase(prefix);
        app.UseRouting();
    }
}
