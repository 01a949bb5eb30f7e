using System.Text.Json.Serialization;
using Ledger.Core.Currencies;

namespace Ledger.Core.Transactions;

/// <summary>A command and what became of it.</summary>
/// <param name="Id">UUIDv7, the command's.</param>
/// <param name="OwnerId">The user whose money moved.</param>
/// <param name="RecipientId">The user whom a transfer credits.</param>
/// <param name="Metadata">A JSON object of strings.</param>
/// <param name="CreatedAt">When the API accepted it, UTC.</param>
/// <param name="DecidedAt">When it was posted or rejected, by the database's clock, UTC; null while pending.</param>
/// <param name="Rejection">Why it was rejected; null unless it was.</param>
/// <param name="Entries">Both sides if posted, otherwise none.</param>
public sealed record Transaction(
    Guid Id,
    TransactionKind Kind,
    TransactionStatus Status,
    Guid OwnerId,
    Guid? RecipientId,
    Money Amount,
    string? Reference,
    string? Metadata,
    DateTime CreatedAt,
    DateTime? DecidedAt,
    Rejection? Rejection,
    IReadOnlyList<Entry> Entries)
{
    /// <summary>The currency of <see cref="Amount"/>.</summary>
    public string Currency => Amount.Currency;

    /// <summary>A command that is not decided yet.</summary>
    public static Transaction Pending(Command command) => new(
        command.Id, command.Kind, TransactionStatus.Pending, command.OwnerId, command.RecipientId, command.Amount,
        command.Reference, command.Metadata, command.CreatedAt, null, null, []);
}

/// <summary>One side of a transaction.</summary>
/// <param name="OwnerId">The account's owner; null on a settlement account.</param>
/// <param name="Amount">Positive credits the account, negative debits it.</param>
/// <param name="BalanceAfter">The account's posted balance with this entry, in minor units; null on settlement accounts, whose balance is a sum of shards.</param>
public readonly record struct Entry(Guid AccountId, Guid? OwnerId, Money Amount, long? BalanceAfter);

/// <summary>Why a command was not posted.</summary>
/// <param name="Code">One of <see cref="RejectionCodes"/>.</param>
/// <param name="Available">What the debited account had available, in minor units, if that was too little.</param>
/// <param name="Index">The place of the movement that could not be made, from 0; null where the command makes only one.</param>
public readonly record struct Rejection(string Code, long? Available = null, int? Index = null);

/// <summary>The reasons that a command can be rejected for, as clients see them in <c>code</c>. Never renamed.</summary>
public static class RejectionCodes
{
    public const string InsufficientFunds = "insufficient_funds";
    public const string CurrencyUnknown = "currency_unknown";
    public const string CurrencyDisabled = "currency_disabled";
    public const string AccountFrozen = "account_frozen";
    public const string RecipientUnknown = "recipient_unknown";
    public const string BalanceOverflow = "balance_overflow";
    /// <summary>Somebody other than the owner wanted its money moved. The API refuses that; so does the engine.</summary>
    public const string Forbidden = "forbidden";
}

/// <summary>How far a command has come.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<TransactionStatus>))]
public enum TransactionStatus
{
    /// <summary>Recorded, will be decided.</summary>
    [JsonStringEnumMemberName("pending")]
    Pending,
    /// <summary>Money moved; final.</summary>
    [JsonStringEnumMemberName("posted")]
    Posted,
    /// <summary>Nothing moved; final.</summary>
    [JsonStringEnumMemberName("rejected")]
    Rejected,
}
