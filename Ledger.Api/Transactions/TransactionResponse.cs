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
    long? Sequence,
    RejectionResponse? Rejection,
    IReadOnlyList<EntryResponse> Entries)
{
    /// <summary>A transaction as <paramref name="caller"/> sees it.</summary>
    public static TransactionResponse Of(Transaction transaction, Guid caller, Currency currency) => new(
        transaction.Id,
        transaction.Kind,
        transaction.Status,
        transaction.Currency,
        currency.FormatAmount(transaction.Amount),
        transaction.Reference,
        // The recipient sees the reference, and not the sender's metadata.
        transaction.OwnerId == caller && transaction.Metadata is { } metadata ? JsonElement.Parse(metadata) : null,
        transaction.CreatedAt,
        transaction.Status == TransactionStatus.Posted ? transaction.DecidedAt : null,
        transaction.Sequence,
        transaction.Rejection is { } rejection
            ? new RejectionResponse(rejection.Code, rejection.Available is { } available ? currency.FormatAmount(available) : null)
            : null,
        EntryResponse.Of(transaction.Entries, caller, currency));

    /// <summary>A transaction as operators and auditors see it: with all entries but those on the ledger's own shards.</summary>
    public static TransactionResponse OfAll(Transaction transaction, Currency currency) =>
        Of(transaction, transaction.OwnerId ?? Guid.Empty, currency) with { Entries = EntryResponse.OfAll(transaction.Entries, currency) };

    /// <summary>The transaction of a command that the worker decided.</summary>
    public static TransactionResponse Of(Command command, Reply reply, Currency currency) => Of(
        Transaction.Pending(command) with
        {
            Status = reply.Kind == ReplyKind.Posted ? TransactionStatus.Posted : TransactionStatus.Rejected,
            DecidedAt = reply.DecidedAt,
            Rejection = reply.Rejection,
            Entries = reply.Entries ?? [],
        },
        command.OwnerId, currency);
}

/// <summary>An entry on one of the caller's accounts.</summary>
/// <param name="Amount">Major units; positive credits the account, negative debits it.</param>
/// <param name="BalanceAfter">The account's posted balance after this entry, in major units.</param>
public sealed record EntryResponse(Guid AccountId, string Currency, string Amount, string BalanceAfter)
{
    public static IReadOnlyList<EntryResponse> Of(IReadOnlyList<Entry> entries, Guid caller, Currency currency)
    {
        var own = new List<EntryResponse>(1);
        foreach (var entry in entries)
        {
            if (entry.OwnerId == caller)
                own.Add(new(entry.AccountId, entry.Amount.Currency, currency.FormatAmount(entry.Amount), currency.FormatAmount(entry.BalanceAfter!.Value)));
        }
        return own;
    }

    public static IReadOnlyList<EntryResponse> OfAll(IReadOnlyList<Entry> entries, Currency currency) =>
    [
        .. entries.Where(entry => entry.BalanceAfter is not null).Select(entry => new EntryResponse(
            entry.AccountId, entry.Amount.Currency, currency.FormatAmount(entry.Amount), currency.FormatAmount(entry.BalanceAfter!.Value))),
    ];
}

/// <summary>Why a transaction was rejected.</summary>
/// <param name="Code">The stable code of the problem that the command got.</param>
/// <param name="Available">With insufficient funds: the available balance in major units.</param>
public sealed record RejectionResponse(string Code, string? Available);

/// <summary>A page of transactions, newest first.</summary>
/// <param name="NextCursor">The cursor of the next page; null on the last page.</param>
public sealed record TransactionPage(IReadOnlyList<TransactionResponse> Items, string? NextCursor);
