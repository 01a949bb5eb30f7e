namespace Ledger.Cli.Bench;

/// <summary>The options of one measurement.</summary>
/// <param name="Connections">Connections, each with one transfer in flight.</param>
/// <param name="Accounts">Users to register.</param>
/// <param name="Warmup">Time of sending before <paramref name="Duration"/>, which is not measured.</param>
/// <param name="IdempotencyKeys">Whether each transfer has an idempotency key.</param>
/// <param name="ServiceKey">The API key of a service account that sends the transfers on behalf of the users; null if the users send them.</param>
internal sealed record BenchOptions(Uri Url, int Connections, int Accounts, TimeSpan Duration, TimeSpan Warmup, bool IdempotencyKeys, string? ServiceKey);
