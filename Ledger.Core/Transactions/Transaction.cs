using System.Text.Json.Serialization;
using Ledger.Core.Currencies;

namespace Ledger.Core.Transactions;

/// <summary>A command and what became of it.</summary>
public sealed record Transaction
{
    /// <summary>UUIDv7, the command's.</summary>
    public required Guid Id { get; init; }

    /// <summary>What the command does, by its name in the database: also one that this version does not know.</summary>
    public required string Kind { get; init; }

    public required TransactionStatus Status { get; init; }

    /// <summary>The user or service that sent the command.</summary>
    public required Guid PrincipalId { get; init; }

    /// <summary>The user whose money moves; null where the command names none.</summary>
    public Guid? OwnerId { get; init; }

    /// <summary>The user whom a transfer credits.</summary>
    public Guid? RecipientId { get; init; }

    public required Money Amount { get; init; }

    /// <summary>The currency of <see cref="Amount"/>.</summary>
    public string Currency => Amount.Currency;

    public string? Reference { get; init; }

    /// <summary>A JSON object of strings.</summary>
    public string? Metadata { get; init; }

    /// <summary>Further facts of its kind, as JSON, such as the other amount of an exchange; null for kinds that have none.</summary>
    public string? Details { get; init; }

    /// <summary>When the API accepted it, UTC.</summary>
    public required DateTime CreatedAt { get; init; }

    /// <summary>When it was posted, rejected or failed, by the database's clock, UTC; null while pending.</summary>
    public DateTime? DecidedAt { get; init; }

    /// <summary>When it takes effect, UTC; null where that is when it was decided.</summary>
    public DateTime? EffectiveAt { get; init; }

    /// <summary>The transaction that it reverses.</summary>
    public Guid? Reverses { get; init; }

    /// <summary>The hold that it makes, changes or captures.</summary>
    public Guid? HoldId { get; init; }

    /// <summary>Why it was rejected; null unless it was.</summary>
    public Rejection? Rejection { get; init; }

    /// <summary>Why it could not be posted, for operators; null unless it failed.</summary>
    public string? Failure { get; init; }

    /// <summary>The entries if posted, otherwise none, in the order in which they were made.</summary>
    public IReadOnlyList<Entry> Entries { get; init; } = [];

    /// <summary>Its place in the journal; null until it has been sealed.</summary>
    public long? Sequence { get; init; }

    /// <summary>The transaction that reverses it.</summary>
    public Guid? ReversedBy { get; init; }

    /// <summary>A command that is not decided yet.</summary>
    public static Transaction Pending(Command command) => new()
    {
        Id = command.Id,
        Kind = command.Kind.Name(),
        Status = TransactionStatus.Pending,
        PrincipalId = command.PrincipalId,
        OwnerId = command.OwnerId,
        RecipientId = command.RecipientId,
        Amount = command.Amount,
        Reference = command.Reference,
        Metadata = command.Metadata,
        CreatedAt = command.CreatedAt,
        Details = TransactionDetails.Of(command),
        EffectiveAt = command.Terms?.EffectiveAt,
        Reverses = command.Terms?.Reverses,
    };

    /// <summary>A command that was decided at a time. It never takes effect later than that.</summary>
    public static Transaction Decided(Command command, DateTime at)
    {
        var pending = Pending(command);
        return pending with { DecidedAt = at, EffectiveAt = pending.EffectiveAt < at ? pending.EffectiveAt : null };
    }
}

/// <summary>One side of a transaction.</summary>
/// <param name="OwnerId">The account's owner; null on house accounts and shards.</param>
/// <param name="Amount">Positive credits the account, negative debits it.</param>
/// <param name="BalanceAfter">The account's posted balance with this entry, in minor units; null on shards, whose balance is a sum.</param>
public readonly record struct Entry(Guid AccountId, Guid? OwnerId, Money Amount, long? BalanceAfter);

/// <summary>Why a command was not posted.</summary>
/// <param name="Code">One of <see cref="RejectionCodes"/>.</param>
/// <param name="Available">What the debited account had available, in minor units, if that was too little.</param>
/// <param name="Index">The place of the posting that could not be made, from 0; null where the command is no journal.</param>
/// <param name="Required">The amount that the debited account had to have available, where that is not the transaction's amount.</param>
public readonly record struct Rejection(string Code, long? Available = null, int? Index = null, Money? Required = null);

/// <summary>The reasons that a command can be rejected for, as clients see them in <c>code</c>. Never renamed.</summary>
public static class RejectionCodes
{
    public const string InsufficientFunds = "insufficient_funds";
    public const string CurrencyUnknown = "currency_unknown";
    public const string CurrencyDisabled = "currency_disabled";
    public const string AccountFrozen = "account_frozen";
    public const string AccountClosed = "account_closed";
    public const string RecipientUnknown = "recipient_unknown";
    public const string BalanceOverflow = "balance_overflow";
    /// <summary>There is no such account in this currency, or it is not the owner's.</summary>
    public const string AccountUnknown = "account_unknown";
    /// <summary>Both ends of a movement are the same account.</summary>
    public const string SameAccount = "same_account";
    /// <summary>The transaction is not posted, or is a reversal itself.</summary>
    public const string NotReversible = "not_reversible";
    public const string AlreadyReversed = "already_reversed";
    /// <summary>The books are closed at the time of effect.</summary>
    public const string PeriodClosed = "period_closed";
    /// <summary>The caller may not move this money. The API refuses such commands, and the engine does again.</summary>
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
    /// <summary>No money moved; final.</summary>
    [JsonStringEnumMemberName("rejected")]
    Rejected,
    /// <summary>It could not be posted, for a reason that is not its client's; no money moved; final.</summary>
    [JsonStringEnumMemberName("failed")]
    Failed,
}
