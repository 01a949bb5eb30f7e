using System.ComponentModel.DataAnnotations;

namespace Ledger.Api.Edge;

/// <summary>Limits of one request, and how clients reach this process: <c>Ledger__Http__…</c>.</summary>
public sealed class HttpOptions
{
    /// <summary>The largest request body, in bytes. The largest valid command, with every character escaped, takes about 170,000.</summary>
    [Range(1_024, 100_000_000)]
    public int MaxBodyBytes { get; set; } = 256 * 1024;

    /// <summary>The largest total size of a request's headers, in bytes.</summary>
    [Range(4_096, 1_000_000)]
    public int MaxHeaderBytes { get; set; } = 16 * 1024;

    /// <summary>Seconds within which the headers of a request must arrive.</summary>
    [Range(1, 600)]
    public int HeaderSeconds { get; set; } = 15;

    /// <summary>Seconds after which a request gets 503. Commands have their own bound, which clients choose.</summary>
    [Range(1, 600)]
    public int RequestSeconds { get; set; } = 30;

    /// <summary>The path prefix that an ingress serves the API under and forwards, such as <c>/ledger</c>; empty for none.</summary>
    [RegularExpression("(/[A-Za-z0-9._~-]+)*", ErrorMessage = "{0} must be a path such as /ledger.")]
    public string PathPrefix { get; set; } = "";

    /// <summary>Proxies whose X-Forwarded-For, -Proto and -Host headers are trusted: IP addresses or networks (CIDR), separated by commas.</summary>
    public string KnownProxies { get; set; } = "";

    /// <summary>Origins whose pages may call the API from a browser (CORS), separated by commas; none by default.</summary>
    public string CorsOrigins { get; set; } = "";
}
