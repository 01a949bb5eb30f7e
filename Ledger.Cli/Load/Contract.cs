using System.Text.Json.Serialization;

namespace Ledger.Cli.Load;

// The request and response bodies of the API, deliberately separate from the API's types: a shared type would hide a
// breaking change.

internal sealed record Credentials(string Email, string Password);

internal sealed record Registered(Guid UserId);

internal sealed record Tokens(string AccessToken, int ExpiresIn);

internal sealed record CurrencyList(IReadOnlyList<ListedCurrency> Currencies);

internal sealed record ListedCurrency(string Code, string Name, int Exponent, bool Enabled);

internal sealed record MoneyOrder(
    string Currency, string Amount, string Reference,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] Guid? OnBehalfOf = null);

internal sealed record TransferOrder(string To, string Currency, string Amount, string Reference);

internal sealed record BalanceList(IReadOnlyList<Balance> Balances);

internal sealed record Balance(string Currency, string Posted, string Held, string Available);

internal sealed record TransactionList(IReadOnlyList<TransactionBody> Items, string? NextCursor);

internal sealed record TransactionBody(
    Guid Id, string Kind, string Status, string Currency, string Amount, string? Reference, RejectionBody? Rejection, IReadOnlyList<EntryBody> Entries);

internal sealed record EntryBody(string Currency, string Amount, string BalanceAfter);

internal sealed record RejectionBody(string Code);

internal sealed record ProblemBody(string? Code, Guid? TransactionId, string? Available, string? TraceId);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Credentials))]
[JsonSerializable(typeof(Registered))]
[JsonSerializable(typeof(Tokens))]
[JsonSerializable(typeof(CurrencyList))]
[JsonSerializable(typeof(MoneyOrder))]
[JsonSerializable(typeof(TransferOrder))]
[JsonSerializable(typeof(BalanceList))]
[JsonSerializable(typeof(TransactionList))]
[JsonSerializable(typeof(TransactionBody))]
[JsonSerializable(typeof(ProblemBody))]
internal sealed partial class ContractJson : JsonSerializerContext;
