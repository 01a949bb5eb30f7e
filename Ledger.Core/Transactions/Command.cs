using System.Text.Json.Serialization;
using Ledger.Core.Currencies;

namespace Ledger.Core.Transactions;

/// <summary>
/// An order to move money, as the API accepted it: authenticated, well-formed, not yet judged. It travels through the
/// queue, and its <see cref="Id"/> becomes the id of the transaction that decides it.
/// </summary>
public sealed record Command
{
    /// <summary>UUIDv7 (RFC 9562), given by the API.</summary>
    public required Guid Id { get; init; }

    public required TransactionKind Kind { get; init; }

    /// <summary>
    /// The user whose money moves: credited by a deposit, debited by withdrawals and transfers, both by an exchange. Null on journals and
    /// reversals, which move the money of any number of users.
    /// </summary>
    public Guid? OwnerId { get; init; }

    /// <summary>
    /// The user or service account that the API authenticated, and that the idempotency key belongs to. Where it is not the owner, or the
    /// command is for services and operators, the engine checks that it may move other users' money.
    /// </summary>
    public required Guid PrincipalId { get; init; }

    /// <summary>The user, or the account, that a transfer credits; null if no user has the name that the sender gave.</summary>
    public Guid? RecipientId { get; init; }

    /// <summary>
    /// The e-mail address, in one letter case, or external id that the sender gave for the recipient; null if it gave an id. A key
    /// that was used before the recipient was known stands for the same request afterwards.
    /// </summary>
    public string? RecipientAddress { get; init; }

    /// <summary>
    /// How much moves: 1 to <see cref="Currencies.Currency.MaxAmount"/> minor units. Of a journal: the sum of its postings in the currency
    /// of the first one. Of an exchange: what is sold. Of a reversal: the amount of the transaction that it reverses.
    /// </summary>
    public required Money Amount { get; init; }

    /// <summary>The currency of <see cref="Amount"/>.</summary>
    [JsonIgnore]
    public string Currency => Amount.Currency;

    /// <summary>The client's own words on it, shown to both sides.</summary>
    public string? Reference { get; init; }

    /// <summary>A JSON object of strings, shown to the owner alone.</summary>
    public string? Metadata { get; init; }

    /// <summary>The client's Idempotency-Key, 1 to 255 characters.</summary>
    public string? IdempotencyKey { get; init; }

    /// <summary>The fields that only some commands have; null on a plain deposit, withdrawal or transfer.</summary>
    public CommandTerms? Terms { get; init; }

    /// <summary>When the API accepted it: UTC, whole microseconds, as PostgreSQL stores them.</summary>
    public required DateTime CreatedAt { get; init; }

    /// <summary>W3C trace context of the request that brought it, or of its sending to the queue; null if the request is not traced.</summary>
    public string? TraceParent { get; init; }
}

/// <summary>What a command does with money.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<TransactionKind>))]
public enum TransactionKind
{
    /// <summary>From settlement to the owner: money came in from outside.</summary>
    [JsonStringEnumMemberName("deposit")]
    Deposit,
    /// <summary>From the owner to settlement: money leaves.</summary>
    [JsonStringEnumMemberName("withdrawal")]
    Withdrawal,
    /// <summary>From the owner to another user.</summary>
    [JsonStringEnumMemberName("transfer")]
    Transfer,
    /// <summary>1 to 64 postings between any accounts.</summary>
    [JsonStringEnumMemberName("journal")]
    Journal,
    /// <summary>The owner's money in one currency for money in another one.</summary>
    [JsonStringEnumMemberName("exchange")]
    Exchange,
    /// <summary>The entries of another transaction, negated.</summary>
    [JsonStringEnumMemberName("reversal")]
    Reversal,
}
