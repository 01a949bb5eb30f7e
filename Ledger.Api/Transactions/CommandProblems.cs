using Ledger.Api.Errors;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Ledger.Api.Transactions;

/// <summary>The problems (422) of well-formed commands.</summary>
internal static class CommandProblems
{
    /// <summary>The command was rejected before it became a transaction.</summary>
    public static ProblemHttpResult Rejected(HttpContext context, string code) =>
        Problem.Of(context, StatusCodes.Status422UnprocessableEntity, code, DetailOf(code));

    /// <summary>The ledger does not have the currency of the command. Codes in lower case are a frequent cause.</summary>
    public static ProblemHttpResult CurrencyUnknown(HttpContext context, string sent, IReadOnlyDictionary<string, Currency> currencies)
    {
        var upper = sent.ToUpperInvariant();
        return Problem.Of(
            context, StatusCodes.Status422UnprocessableEntity, RejectionCodes.CurrencyUnknown, currencies.ContainsKey(upper)
                ? $"The ledger does not have the currency {Sent.Quoted(sent)}. Codes are in upper case: {upper}."
                : $"The ledger does not have the currency {Sent.Quoted(sent)}. GET /api/v1/currencies lists the currencies.");
    }

    /// <summary>The ledger rejected the command; the problem names the transaction that records it.</summary>
    public static ProblemHttpResult Rejected(HttpContext context, TransactionResponse transaction)
    {
        var code = transaction.Rejection!.Code;
        return code == RejectionCodes.InsufficientFunds
            ? Problem.Of(context, StatusCodes.Status422UnprocessableEntity, code, DetailOf(code),
                ("transactionId", transaction.Id), ("currency", transaction.Currency),
                ("available", transaction.Rejection.Available), ("required", transaction.Amount))
            : Problem.Of(context, StatusCodes.Status422UnprocessableEntity, code, DetailOf(code), ("transactionId", transaction.Id));
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
        RejectionCodes.Forbidden => "The caller may not move money of this user.",
        RejectionCodes.BalanceOverflow => "The balance would exceed the largest amount that the ledger can store.",
        _ => "The command was rejected.",
    };
}
