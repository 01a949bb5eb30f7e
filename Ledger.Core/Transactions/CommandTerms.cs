using System.Text.Json.Serialization;
using Ledger.Core.Currencies;

namespace Ledger.Core.Transactions;

/// <summary>The fields that only some commands have. They are apart from the command so that a plain command stays small.</summary>
public sealed record CommandTerms
{
    /// <summary>The account that a withdrawal or transfer debits; null for the owner's main account.</summary>
    public Guid? AccountId { get; init; }

    /// <summary>When the transaction takes effect: UTC, whole microseconds; null for the time at which it is posted.</summary>
    public DateTime? EffectiveAt { get; init; }

    /// <summary>The postings of a journal, 1 to 64, judged in order.</summary>
    public IReadOnlyList<JournalPosting>? Postings { get; init; }

    /// <summary>The amount that the owner of an exchange gets for the command's amount.</summary>
    public Money? Buy { get; init; }

    /// <summary>The rate that the two amounts of an exchange state, in major units.</summary>
    public string? Rate { get; init; }

    /// <summary>The transaction that a reversal undoes.</summary>
    public Guid? Reverses { get; init; }
}

/// <summary>A part of a journal: money from one end to the other.</summary>
/// <param name="Amount">1 to <see cref="Currency.MaxAmount"/> minor units.</param>
public readonly record struct JournalPosting(PostingEnd From, PostingEnd To, Money Amount);

/// <summary>One end of a posting, in the posting's currency. Without a field set, it is the world outside.</summary>
/// <param name="UserId">The main account of a user.</param>
/// <param name="AccountId">An account of a user or of the house.</param>
/// <param name="House">The house account of this name.</param>
public readonly record struct PostingEnd(Guid? UserId = null, Guid? AccountId = null, string? House = null)
{
    [JsonIgnore]
    public bool IsWorld => UserId is null && AccountId is null && House is null;
}
