namespace Ledger.Cli.Load;

/// <summary>What load to make, and how much of this machine to use for it.</summary>
internal sealed record LoadOptions
{
    /// <summary>The APIs, taken in turn.</summary>
    public required IReadOnlyList<Uri> Urls { get; init; }

    /// <summary>Requests a second.</summary>
    public required double Rate { get; init; }

    public required TimeSpan Duration { get; init; }

    public required int Users { get; init; }

    /// <summary>Decides which requests are sent, as far as that does not depend on the answers.</summary>
    public required int Seed { get; init; }

    /// <summary>TCP connections to each API.</summary>
    public required int Connections { get; init; }

    /// <summary>Requests that may be under way at once. Beyond it the client waits, and misses starts.</summary>
    public required int MaxInFlight { get; init; }

    /// <summary>An operator's API key, with which deposits are made on behalf of the users; null if they deposit for themselves.</summary>
    public string? ApiKey { get; init; }

    /// <summary>Whether 502 to 504 and lost connections are retried, with the same idempotency key, until there is an answer.</summary>
    public required bool TolerateOutage { get; init; }

    /// <summary>How long one request is retried, and one answered 202 is asked after, before it counts as unanswered.</summary>
    public required TimeSpan GiveUpAfter { get; init; }

    /// <summary>The port of 127.0.0.1 for <c>/metrics</c>; 0 for none.</summary>
    public required int MetricsPort { get; init; }

    /// <summary>How late a request may start before its start counts as missed.</summary>
    public TimeSpan MaxLateness { get; init; } = TimeSpan.FromMilliseconds(100);
}
