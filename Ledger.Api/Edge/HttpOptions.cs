using System.ComponentModel.DataAnnotations;

namespace Ledger.Api.Edge;

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
