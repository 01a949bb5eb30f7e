using Ledger.Api.Errors;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Ledger.Api.Transactions;

/// <summary>The problems (422) of well-formed commands.</summary>
internal static class CommandProblems
{
    /// <summary>The command was rejected before it became a transaction.</summary>
    /// <param name="index">The place of the posting, from 0; null where the command is no journal.</param>
    public static ProblemHttpResult Rejected(HttpContext context, string code, int? index = null) =>
        WithIndex(Problem.Of(context, StatusOf(code), code, DetailOf(code)), index);

    /// <summary>The ledger does not have the currency of the command. Codes in lower case are a frequent cause.</summary>
    public static ProblemHttpResult CurrencyUnknown(HttpContext context, string sent, IReadOnlyDictionary<string, Currency> currencies, int? index = null)
    {
        var upper = sent.ToUpperInvariant();
        return WithIndex(Problem.Of(
            context, StatusCodes.Status422UnprocessableEntity, RejectionCodes.CurrencyUnknown, currencies.ContainsKey(upper)
                ? $"The ledger does not have the currency {Sent.Quoted(sent)}. Codes are in upper case: {upper}."
                : $"The ledger does not have the currency {Sent.Quoted(sent)}. GET /api/v1/currencies lists the currencies."), index);
    }

    /// <summary>The ledger rejected the command; the problem names the transaction that records it.</summary>
    public static ProblemHttpResult Rejected(HttpContext context, TransactionResponse transaction)
    {
        var rejection = transaction.Rejection!;
        var code = rejection.Code;
        return WithIndex(
            code == RejectionCodes.InsufficientFunds
                ? Problem.Of(context, StatusOf(code), code, DetailOf(code),
                    ("transactionId", transaction.Id), ("currency", rejection.Currency), ("available", rejection.Available), ("required", rejection.Required))
                : Problem.Of(context, StatusOf(code), code, DetailOf(code), ("transactionId", transaction.Id)),
            rejection.Index);
    }

    // What has become of another transaction is a conflict (409); everything else is the command's own fault (422).
    private static int StatusOf(string code) => code is RejectionCodes.AlreadyReversed or RejectionCodes.NotReversible
        ? StatusCodes.Status409Conflict
        : StatusCodes.Status422UnprocessableEntity;

    private static ProblemHttpResult WithIndex(ProblemHttpResult problem, int? index)
    {
        if (index is { } place)
            problem.ProblemDetails.Extensions["index"] = place;
        return problem;
    }

    /// <summary>The transaction is stored as failed, for good: the same idempotency key gives this answer again.</summary>
    public static ProblemHttpResult Failed(HttpContext context, Guid id) => Problem.Of(
        context, StatusCodes.Status503ServiceUnavailable, "unavailable",
        "The command failed because of an error in the ledger. It is final: no money moved, and none will.", ("transactionId", id));

    public static ProblemHttpResult KeyReused(HttpContext context) => Problem.Of(
        context, StatusCodes.Status422UnprocessableEntity, "idempotency_key_reused", "This Idempotency-Key was used before, with another request.");

    private static string DetailOf(string code) => code switch
    {
        RejectionCodes.InsufficientFunds => "The available balance is lower than the amount.",
        RejectionCodes.CurrencyUnknown => "The ledger does not have this currency.",
        RejectionCodes.CurrencyDisabled => "This currency is disabled.",
        RejectionCodes.AccountFrozen => "An account of this transaction is frozen.",
        RejectionCodes.AccountClosed => "An account of this transaction is closed.",
        RejectionCodes.RecipientUnknown => "The user does not exist.",
        RejectionCodes.Forbidden => "The caller may not move this money.",
        RejectionCodes.AccountUnknown => "There is no such account in this currency, or it belongs to another user.",
        RejectionCodes.SameAccount => "Both ends are the same account.",
        RejectionCodes.NotReversible => "Only a posted transaction that is not a reversal can be reversed.",
        RejectionCodes.AlreadyReversed => "The transaction was reversed before.",
        RejectionCodes.PeriodClosed => "The books are closed at the time at which the transaction would take effect.",
        RejectionCodes.BalanceOverflow => "The balance would exceed the largest amount that the ledger can store.",
        _ => "The command was rejected.",
    };
}
