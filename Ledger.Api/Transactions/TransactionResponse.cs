using System.Text.Json;
using Ledger.Core.Currencies;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;

namespace Ledger.Api.Transactions;

/// <summary>A transaction as its caller may see it: amounts in major units, entries on the caller's own accounts alone.</summary>
public sealed record TransactionResponse(
    Guid Id,
    TransactionKind Kind,
    TransactionStatus Status,
    string Currency,
    string Amount,
    string? Reference,
    JsonElement? Metadata,
    DateTime CreatedAt,
    DateTime? PostedAt,
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
        // Metadata is the sender's own; what it is to the recipient stands in the reference.
        transaction.OwnerId == caller && transaction.Metadata is { } metadata ? JsonElement.Parse(metadata) : null,
        transaction.CreatedAt,
        transaction.Status == TransactionStatus.Posted ? transaction.DecidedAt : null,
        transaction.Rejection is { } rejection
            ? new RejectionResponse(rejection.Code, rejection.Available is { } available ? currency.FormatAmount(available) : null)
            : null,
        EntryResponse.Of(transaction.Entries, caller, currency));

    /// <summary>The transaction that a worker's reply says the command became.</summary>
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

/// <summary>One change of one of the caller's accounts.</summary>
/// <param name="Amount">Major units; positive credits the account, negative debits it.</param>
/// <param name="BalanceAfter">The account's posted balance with this entry, major units.</param>
public sealed record EntryResponse(Guid AccountId, string Currency, string Amount, string BalanceAfter)
{
    public static IReadOnlyList<EntryResponse> Of(IReadOnlyList<Entry> entries, Guid caller, Currency currency)
    {
        var own = new List<EntryResponse>(1);
        foreach (var entry in entries)
        {
            if (entry.OwnerId == caller)
                own.Add(new(entry.AccountId, entry.Currency, currency.FormatAmount(entry.Amount), currency.FormatAmount(entry.BalanceAfter!.Value)));
        }
        return own;
    }
}

/// <summary>Why a transaction was rejected.</summary>
/// <param name="Code">A stable code, as in the problem that the command was answered with.</param>
/// <param name="Available">What the account had, in major units, if that was too little.</param>
public sealed record RejectionResponse(string Code, string? Available);

/// <summary>A page of transactions, newest first.</summary>
/// <param name="NextCursor">Asks for the next page; null on the last.</param>
public sealed record TransactionPage(IReadOnlyList<TransactionResponse> Items, string? NextCursor);
