namespace Ledger.Cli.Load;

/// <summary>The options of a run.</summary>
internal sealed record LoadOptions
{
    /// <summary>The addresses of the APIs, which receive requests in turn.</summary>
    public required IReadOnlyList<Uri> Urls { get; init; }

    /// <summary>Requests per second.</summary>
    public required double Rate { get; init; }

    public required TimeSpan Duration { get; init; }

    public required int Users { get; init; }

    /// <summary>The seed of the random choices.</summary>
    public required int Seed { get; init; }

    /// <summary>The maximum number of TCP connections to each API.</summary>
    public required int Connections { get; init; }

    /// <summary>The maximum number of requests in flight. Beyond it the client waits and misses starts.</summary>
    public required int MaxInFlight { get; init; }

    /// <summary>The codes of the currencies to use; all that are enabled if empty.</summary>
    public required IReadOnlyList<string> Currencies { get; init; }

    /// <summary>
    /// An API key of a service account with scope transactions, for deposits on behalf of the users, exchanges and reversals; null if the
    /// users make their own deposits.
    /// </summary>
    public string? ApiKey { get; init; }

    /// <summary>An operator, who opens house accounts, sets credit limits and compares the books of the house; null without these.</summary>
    public Credentials? Operator { get; init; }

    /// <summary>Whether 502 to 504 and lost connections are retried with the same idempotency key until there is an answer.</summary>
    public required bool TolerateOutage { get; init; }

    /// <summary>The time limit for retries of a request, and for polling a command that was answered 202.</summary>
    public required TimeSpan GiveUpAfter { get; init; }

    /// <summary>The port of 127.0.0.1 for <c>/metrics</c>; 0 for none.</summary>
    public required int MetricsPort { get; init; }

    /// <summary>The delay from which a start counts as missed.</summary>
    public TimeSpan MaxLateness { get; init; } = TimeSpan.FromMilliseconds(100);
}
