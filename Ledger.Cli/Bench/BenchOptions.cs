namespace Ledger.Cli.Bench;

/// <summary>The options of one measurement.</summary>
/// <param name="Connections">Connections, each with one transfer in flight.</param>
/// <param name="Accounts">Users to register.</param>
/// <param name="Warmup">Time of sending before <paramref name="Duration"/>, which is not measured.</param>
/// <param name="IdempotencyKeys">Whether each transfer has an idempotency key.</param>
internal sealed record BenchOptions(Uri Url, int Connections, int Accounts, TimeSpan Duration, TimeSpan Warmup, bool IdempotencyKeys);
