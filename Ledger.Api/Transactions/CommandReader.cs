using System.Diagnostics;
using System.Text.Json;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Requests;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Ledger.Api.Transactions;

/// <summary>Makes a command of a request, or says what is wrong with it. What is refused here leaves no trace.</summary>
public sealed class CommandReader(CurrencyCatalog catalog, Recipients recipients, TimeProvider clock)
{
    private const int MaxReference = 255;
    private const int MaxMetadataEntries = 50;
    private const int MaxMetadataKey = 40;
    private const int MaxMetadataValue = 500;
    private const int MaxKey = 255;

    /// <summary>The command and its currency, or the problem.</summary>
    /// <param name="to">The recipient of a transfer.</param>
    /// <param name="onBehalfOf">The user whom an operator deposits for; null deposits for the caller.</param>
    public async ValueTask<(Command? Command, Currency? Currency, ProblemHttpResult? Problem)> ReadAsync(
        HttpContext context, TransactionKind kind, string? to, string? onBehalfOf, string? currencyCode, string? amount, string? reference,
        Dictionary<string, string>? metadata)
    {
        var errors = new Dictionary<string, string[]>();
        if (string.IsNullOrEmpty(currencyCode))
            errors["currency"] = ["Is required: an ISO 4217 code."];
        if (string.IsNullOrEmpty(amount))
            errors["amount"] = ["Is required: a decimal string in major units, such as \"12.34\"."];
        if (reference is not null && (reference.Length > MaxReference || !IsText(reference)))
            errors["reference"] = [$"Must be text of at most {MaxReference} characters."];
        if (metadata is not null && !IsMetadata(metadata))
            errors["metadata"] = [$"Must be at most {MaxMetadataEntries} strings of at most {MaxMetadataValue} characters under keys of at most {MaxMetadataKey}."];

        var key = context.Request.Headers["Idempotency-Key"];
        if (key.Count > 1 || (key.Count == 1 && (key[0] is not { Length: > 0 and <= MaxKey } text || !IsText(text))))
            errors["Idempotency-Key"] = [$"Must be 1 to {MaxKey} characters."];

        Guid? recipient = null;
        var caller = context.Caller().Id;
        Guid? owner = caller;
        if (onBehalfOf is not null)
        {
            if (!Recipients.IsAddress(onBehalfOf))
                errors["onBehalfOf"] = ["Must be a user id or an e-mail address."];
            else
                owner = await recipients.FindAsync(onBehalfOf, context.RequestAborted);
        }
        if (kind == TransactionKind.Transfer)
        {
            if (!Recipients.IsAddress(to))
                errors["to"] = ["Is required: a user id or an e-mail address."];
            else if ((recipient = await recipients.FindAsync(to, context.RequestAborted)) == caller)
                errors["to"] = ["Must be another user."];
        }
        if (errors.Count > 0)
            return (null, null, Problem.Invalid(context, errors));

        var currencies = await catalog.GetAsync(context.RequestAborted);
        if (!currencies.TryGetValue(currencyCode!, out var currency))
            return (null, null, Problem.Of(context, StatusCodes.Status422UnprocessableEntity, RejectionCodes.CurrencyUnknown, "The ledger has no such currency."));
        if (owner is null)
            return (null, null, Problem.Of(context, StatusCodes.Status422UnprocessableEntity, RejectionCodes.RecipientUnknown, "There is no such user."));
        if (currency.ParseAmount(amount, out var minorUnits) is not AmountError.None and var error)
            return (null, null, AmountProblem(context, error, currency));

        var command = new Command
        {
            Id = Guid.CreateVersion7(clock.GetUtcNow()),
            Kind = kind,
            OwnerId = owner.Value,
            CallerId = owner == caller ? null : caller,
            RecipientId = recipient,
            Currency = currency.Code,
            Amount = minorUnits,
            Reference = reference,
            Metadata = metadata is null ? null : JsonSerializer.Serialize(metadata, ApiJson.Default.DictionaryStringString),
            IdempotencyKey = key.Count == 1 ? key[0] : null,
            RequestHash = key.Count == 1 ? CommandHandler.HashOf(kind, to ?? onBehalfOf, currency.Code, minorUnits, reference, metadata) : null,
            CreatedAt = Microseconds(clock.GetUtcNow().UtcDateTime),
            TraceParent = Activity.Current is { Recorded: true } request ? request.Id : null,
        };
        return (command, currency, null);
    }

    private static ProblemHttpResult AmountProblem(HttpContext context, AmountError error, Currency currency) => error switch
    {
        AmountError.TooPrecise => Problem.Invalid(context, new Dictionary<string, string[]>
        {
            ["amount"] = [$"{currency.Code} has {currency.Exponent} decimal places."],
        }, "amount_precision"),
        AmountError.OutOfRange => Problem.Invalid(context, new Dictionary<string, string[]>
        {
            ["amount"] = [$"Must be above zero and at most {currency.FormatAmount(Currency.MaxAmount)} {currency.Code}."],
        }),
        _ => Problem.Invalid(context, new Dictionary<string, string[]>
        {
            ["amount"] = ["Must be a decimal number in digits with a point, such as \"12.34\": no sign, exponent or grouping."],
        }),
    };

    private static bool IsMetadata(Dictionary<string, string> metadata)
    {
        if (metadata.Count > MaxMetadataEntries)
            return false;
        foreach (var (key, value) in metadata)
        {
            if (key.Length is 0 or > MaxMetadataKey || value is not { Length: <= MaxMetadataValue } || !IsText(key) || !IsText(value))
                return false;
        }
        return true;
    }

    // PostgreSQL stores every character but NUL; no other control character is anybody's reference either.
    private static bool IsText(string text) => !text.AsSpan().ContainsAnyInRange('\0', '\x1f');

    // What PostgreSQL keeps of a time, so that the first answer and later ones say the same.
    private static DateTime Microseconds(DateTime time) => new(time.Ticks - time.Ticks % TimeSpan.TicksPerMicrosecond, DateTimeKind.Utc);
}
