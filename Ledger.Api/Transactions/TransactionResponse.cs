using System.Text.Json;
using Ledger.Core.Currencies;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;

namespace Ledger.Api.Transactions;

/// <summary>A transaction as its caller may see it: amounts in major units, entries on the caller's own accounts only.</summary>
public sealed record TransactionResponse(
    Guid Id,
    string Kind,
    TransactionStatus Status,
    string Currency,
    string Amount,
    string? Reference,
    JsonElement? Metadata,
    DateTime CreatedAt,
    DateTime? PostedAt,
    DateTime? EffectiveAt,
    long? Sequence,
    RejectionResponse? Rejection,
    Guid? Reverses,
    Guid? ReversedBy,
    Guid? HoldId,
    IReadOnlyList<EntryResponse> Entries)
{
    /// <summary>A transaction as <paramref name="viewer"/> sees it.</summary>
    /// <param name="viewer">The user who sees the own entries; null for operators and auditors, who see all but those on shards.</param>
    /// <param name="currencies">At least those that <see cref="CurrenciesOf"/> names and that there are.</param>
    public static TransactionResponse Of(Transaction transaction, Guid? viewer, IReadOnlyDictionary<string, Currency> currencies)
    {
        var currency = currencies.Named(transaction.Currency);
        var postedAt = transaction.Status == TransactionStatus.Posted ? transaction.DecidedAt : null;
        return new(
            transaction.Id,
            transaction.Kind,
            transaction.Status,
            transaction.Currency,
            currency.FormatAmount(transaction.Amount),
            transaction.Reference,
            // The recipient sees the reference, and not the sender's metadata.
            (viewer is null || transaction.OwnerId == viewer) && transaction.Metadata is { } metadata ? JsonElement.Parse(metadata) : null,
            transaction.CreatedAt,
            postedAt,
            transaction.EffectiveAt ?? postedAt,
            transaction.Sequence,
            transaction.Rejection is { } rejection ? RejectionResponse.Of(rejection, transaction, currencies) : null,
            transaction.Reverses,
            transaction.ReversedBy,
            transaction.HoldId,
            EntryResponse.Of(transaction.Entries, viewer, currencies));
    }

    /// <summary>The transaction of a command that the worker decided.</summary>
    public static TransactionResponse Of(Command command, Reply reply, IReadOnlyDictionary<string, Currency> currencies) => Of(
        Transaction.Decided(command, reply.DecidedAt!.Value) with
        {
            Status = reply.Kind == ReplyKind.Posted ? TransactionStatus.Posted : TransactionStatus.Rejected,
            Rejection = reply.Rejection,
            Entries = reply.Entries ?? [],
        },
        command.OwnerId, currencies);

    /// <summary>The codes of all currencies in some transactions.</summary>
    public static IEnumerable<string> CurrenciesOf(IEnumerable<Transaction> transactions) =>
        transactions.SelectMany(transaction => transaction.Entries.Select(entry => entry.Amount.Currency)
            .Append(transaction.Currency).Append(transaction.Rejection?.Required?.Currency ?? transaction.Currency)).Distinct();
}

/// <summary>An entry on an account that the caller may see.</summary>
/// <param name="Amount">Major units; positive credits the account, negative debits it.</param>
/// <param name="BalanceAfter">The account's posted balance after this entry, in major units.</param>
public sealed record EntryResponse(Guid AccountId, string Currency, string Amount, string BalanceAfter)
{
    /// <param name="viewer">Null: all entries that state a balance.</param>
    public static IReadOnlyList<EntryResponse> Of(IReadOnlyList<Entry> entries, Guid? viewer, IReadOnlyDictionary<string, Currency> currencies)
    {
        var own = new List<EntryResponse>(1);
        foreach (var entry in entries)
        {
            if (entry.BalanceAfter is not { } balance || (viewer is not null && entry.OwnerId != viewer))
                continue;
            var currency = currencies.Named(entry.Amount.Currency);
            own.Add(new(entry.AccountId, currency.Code, currency.FormatAmount(entry.Amount), currency.FormatAmount(balance)));
        }
        return own;
    }
}

/// <summary>Why a transaction was rejected.</summary>
/// <param name="Code">The stable code of the problem that the command got.</param>
/// <param name="Index">Of a journal: the place of the posting that could not be made, from 0.</param>
/// <param name="Currency">With insufficient funds: the currency of the two amounts.</param>
/// <param name="Available">With insufficient funds: what the account had available, in major units.</param>
/// <param name="Required">With insufficient funds: what the account had to have available, in major units.</param>
public sealed record RejectionResponse(string Code, int? Index, string? Currency, string? Available, string? Required)
{
    public static RejectionResponse Of(Rejection rejection, Transaction transaction, IReadOnlyDictionary<string, Currency> currencies)
    {
        if (rejection.Available is not { } available)
            return new(rejection.Code, rejection.Index, null, null, null);
        var required = rejection.Required ?? transaction.Amount;
        var currency = currencies.Named(required.Currency);
        return new(rejection.Code, rejection.Index, currency.Code, currency.FormatAmount(available), currency.FormatAmount(required));
    }
}

/// <summary>A page of transactions, newest first.</summary>
/// <param name="NextCursor">The cursor of the next page; null on the last page.</param>
public sealed record TransactionPage(IReadOnlyList<TransactionResponse> Items, string? NextCursor);
