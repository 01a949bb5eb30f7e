using System.Text.Json.Serialization;

namespace Ledger.Cli.Load;

// The request and response bodies of the API, deliberately separate from the API's types: a shared type would hide a
// breaking change.

internal sealed record Credentials(string Email, string Password);

internal sealed record Registered(Guid UserId);

internal sealed record Tokens(string AccessToken, int ExpiresIn);

internal sealed record CurrencyList(IReadOnlyList<ListedCurrency> Currencies);

internal sealed record ListedCurrency(string Code, string Name, int Exponent, bool Enabled);

internal sealed record MoneyOrder(string Currency, string Amount, string Reference, Guid? OnBehalfOf = null, Guid? Account = null);

internal sealed record TransferOrder(string To, string Currency, string Amount, string Reference);

internal sealed record JournalOrder(IReadOnlyList<PostingOrder> Postings, string Reference, Dictionary<string, string> Metadata);

internal sealed record PostingOrder(string From, string To, string Currency, string Amount);

internal sealed record ExchangeOrder(AmountOrder Sell, AmountOrder Buy, Guid? OnBehalfOf, string Reference);

internal sealed record AmountOrder(string Currency, string Amount);

internal sealed record ReversalOrder(string Reference, Dictionary<string, string> Metadata);

internal sealed record AccountOrder(string Currency, string Name);

internal sealed record LimitOrder(string CreditLimit);

internal sealed record AccountList(IReadOnlyList<Account> Accounts);

internal sealed record Account(Guid Id, string Name, string Currency, string Status, string Posted, string Held, string Available, string CreditLimit);

internal sealed record BalanceList(IReadOnlyList<Balance> Balances);

internal sealed record Balance(string Currency, string Posted, string Held, string Available);

internal sealed record ExchangePositions(IReadOnlyList<ExchangePosition> Positions);

internal sealed record ExchangePosition(string Currency, string Position);

internal sealed record TransactionList(IReadOnlyList<TransactionBody> Items, string? NextCursor);

internal sealed record TransactionBody(
    Guid Id, string Kind, string Status, string Currency, string Amount, string? Reference, RejectionBody? Rejection, Guid? Reverses, Guid? ReversedBy,
    IReadOnlyList<EntryBody> Entries);

internal sealed record EntryBody(string Currency, string Amount, string BalanceAfter);

internal sealed record RejectionBody(string? Code, int? Index, string? Available);

internal sealed record ProblemBody(string? Code, Guid? TransactionId, int? Index, string? Available, string? TraceId);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Credentials))]
[JsonSerializable(typeof(Registered))]
[JsonSerializable(typeof(Tokens))]
[JsonSerializable(typeof(CurrencyList))]
[JsonSerializable(typeof(MoneyOrder))]
[JsonSerializable(typeof(TransferOrder))]
[JsonSerializable(typeof(JournalOrder))]
[JsonSerializable(typeof(ExchangeOrder))]
[JsonSerializable(typeof(ReversalOrder))]
[JsonSerializable(typeof(AccountOrder))]
[JsonSerializable(typeof(LimitOrder))]
[JsonSerializable(typeof(AccountList))]
[JsonSerializable(typeof(Account))]
[JsonSerializable(typeof(BalanceList))]
[JsonSerializable(typeof(ExchangePositions))]
[JsonSerializable(typeof(TransactionList))]
[JsonSerializable(typeof(TransactionBody))]
[JsonSerializable(typeof(ProblemBody))]
internal sealed partial class ContractJson : JsonSerializerContext;
