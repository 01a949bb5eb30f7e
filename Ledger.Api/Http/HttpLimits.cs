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
}
