using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Limits;
using Ledger.Api.Requests;
using Ledger.Api.Users;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Ledger.Api.Transactions;

/// <summary>Validates a request and turns it into a command. A request that is refused here leaves no trace in the ledger.</summary>
public sealed class CommandReader(CurrencyCatalog catalog, UserLookup users, AddressLimit addresses, SelfServiceDeposits selfService, TimeProvider clock)
{
    internal const int MaxReference = 255;
    private const int MaxMetadataEntries = 50;
    private const int MaxMetadataKey = 40;
    private const int MaxMetadataValue = 500;
    private const int MaxKey = 255;
    private static readonly DateTimeOffset s_firstEffect = new(1970, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Returns the command, or the problem that the request has.</summary>
    public async ValueTask<(ValidCommand? Command, ProblemHttpResult? Problem)> ReadAsync(CommandRequest request, HttpContext context)
    {
        if (OnBehalfOf.RefuseMove(context, request.OnBehalfOf) is { } refusal)
            return (null, refusal);
        var errors = new Dictionary<string, string[]>();
        if (string.IsNullOrEmpty(request.Currency))
            errors["currency"] = ["Is required: an ISO 4217 code."];
        if (string.IsNullOrEmpty(request.Amount))
            errors["amount"] = ["Is required: a decimal string in major units, such as \"12.34\"."];
        var common = ReadCommon(request.Reference, request.Metadata, request.EffectiveAt, context, errors);
        Guid? account = null;
        if (request.Account is not null)
            account = Guid.TryParseExact(request.Account, "D", out var id) ? id : Fail(errors, "account", $"{Sent.Quoted(request.Account)} is not the id of an account.");

        Guid? recipient = null;
        var caller = context.Caller();
        Guid? owner = caller.Id;
        if (request.OnBehalfOf is { } onBehalfOf)
        {
            if (UserLookup.ErrorOf(onBehalfOf) is { } error)
                errors[OnBehalfOf.Name] = [error];
            else
                owner = await users.FindAsync(onBehalfOf, context.RequestAborted);
        }
        else if (!caller.IsUser)
        {
            errors[OnBehalfOf.Name] = [OnBehalfOf.Required];
        }
        if (request.Kind == TransactionKind.Transfer)
        {
            if (string.IsNullOrEmpty(request.To))
                errors["to"] = ["Is required: a user id, an e-mail address, an external id, or the id of an account."];
            else if (UserLookup.ErrorOf(request.To) is { } error)
                errors["to"] = [error];
            else
            {
                (recipient, var refused) = await FindRecipientAsync(request.To, context);
                if (refused is not null)
                    return (null, refused);
                if (recipient is not null && recipient == owner)
                    errors["to"] = ["Is the user who pays. Must be another user."];
            }
        }
        if (errors.Count > 0)
            return (null, Problem.Invalid(context, errors));
        if (common.EffectiveAt is not null && !caller.MovesForOthers)
            return (null, Problem.Of(context, StatusCodes.Status403Forbidden, "forbidden", "Only service accounts with scope transactions and operators send effectiveAt."));

        var currencies = await catalog.GetAsync(context.RequestAborted);
        if (!currencies.TryGetValue(request.Currency!, out var currency))
            return (null, CommandProblems.CurrencyUnknown(context, request.Currency!, currencies));
        if (owner is null)
            return (null, CommandProblems.Rejected(context, RejectionCodes.RecipientUnknown));
        if (currency.ParseAmount(request.Amount, out var minorUnits) is not AmountError.None and var amountError)
            return (null, AmountProblem(context, amountError, request.Amount!, currency));
        if (request is { Kind: TransactionKind.Deposit, OnBehalfOf: null } && selfService.IsTooLarge(minorUnits, currency))
        {
            return (null, Problem.Invalid(context, new Dictionary<string, string[]>
            {
                ["amount"] = [string.Create(CultureInfo.InvariantCulture, $"{Sent.Quoted(request.Amount!)} is out of range. Users deposit at most {selfService.Limit} {currency.Code} for themselves.")],
            }));
        }

        var terms = account is null && common.EffectiveAt is null ? null : new CommandTerms { AccountId = account, EffectiveAt = common.EffectiveAt };
        var command = NewCommand(request.Kind, owner, new Money(minorUnits, currency.Code), terms, common, context, recipient, request.To);
        return (new ValidCommand(command, currencies), null);
    }

    // A name that is not registered takes a token of the user's remote address. Without tokens, registered names are refused too: the
    // refusal tells nothing. User ids cannot be guessed, and services and operators may know who is registered.
    private async ValueTask<(Guid? Recipient, ProblemHttpResult? Refused)> FindRecipientAsync(string to, HttpContext context)
    {
        var isLimited = UserLookup.NameIn(to) is not null && !context.Caller().MovesForOthers;
        if (isLimited && addresses.RefuseIfEmpty(context) is { } none)
            return (null, RateLimits.Refused(context, RateLimits.PerAddress, none));
        var recipient = await users.FindAsync(to, context.RequestAborted);
        return recipient is null && isLimited && addresses.Take(context) is { IsAcquired: false } empty
            ? (null, RateLimits.Refused(context, RateLimits.PerAddress, empty))
            : (recipient, null);
    }

    /// <summary>The fields that every command has, and the errors in them.</summary>
    internal CommonFields ReadCommon(
        string? reference, Dictionary<string, string>? metadata, string? effectiveAt, HttpContext context, Dictionary<string, string[]> errors)
    {
        if (reference is not null && Sent.TextError(reference, MaxReference) is { } referenceError)
            errors["reference"] = [referenceError];
        if (metadata is not null && MetadataError(metadata) is { } metadataError)
            errors["metadata"] = [metadataError];

        var key = context.Request.Headers["Idempotency-Key"];
        if (key.Count > 1)
            errors["Idempotency-Key"] = ["The header occurs more than once."];
        else if (key.Count == 1 && (string.IsNullOrEmpty(key[0]) ? $"Is empty. Must be text of 1 to {MaxKey} characters." : Sent.TextError(key[0]!, MaxKey)) is { } keyError)
            errors["Idempotency-Key"] = [keyError];

        DateTime? effect = null;
        if (effectiveAt is not null)
        {
            if (!QueryReader.TryParseTime(effectiveAt, out var time))
                errors["effectiveAt"] = [$"{Sent.Quoted(effectiveAt)} was sent. Must be an RFC 3339 time, such as 2026-01-31T12:00:00Z; without an offset it is UTC."];
            else if (time < s_firstEffect || time > clock.GetUtcNow())
                errors["effectiveAt"] = [$"{Sent.Quoted(effectiveAt)} was sent. Must be from {s_firstEffect:yyyy-MM-dd} to now."];
            else
                effect = time.UtcDateTime;
        }
        return new CommonFields(
            reference, metadata is null or { Count: 0 } ? null : JsonSerializer.Serialize(metadata, ApiJson.Default.DictionaryStringString),
            key.Count == 1 ? key[0] : null, effect);
    }

    /// <summary>The command of a request that has no error.</summary>
    /// <param name="to">The recipient as it was sent.</param>
    internal Command NewCommand(
        TransactionKind kind, Guid? owner, Money amount, CommandTerms? terms, CommonFields fields, HttpContext context, Guid? recipient = null, string? to = null)
    {
        var now = clock.GetUtcNow();
        return new Command
        {
            Id = Guid.CreateVersion7(now),
            Kind = kind,
            OwnerId = owner,
            PrincipalId = context.Caller().Id,
            RecipientId = recipient,
            RecipientAddress = to is null ? null : UserLookup.NameIn(to),
            Amount = amount,
            Terms = terms,
            Reference = fields.Reference,
            Metadata = fields.Metadata,
            IdempotencyKey = fields.Key,
            CreatedAt = ToMicroseconds(now.UtcDateTime),
            TraceParent = Activity.Current is { Recorded: true } span ? span.Id : null,
        };
    }

    private static Guid? Fail(Dictionary<string, string[]> errors, string field, string error)
    {
        errors[field] = [error];
        return null;
    }

    /// <summary>The problem of an amount that its currency does not take.</summary>
    internal static ProblemHttpResult AmountProblem(HttpContext context, AmountError error, string amount, Currency currency, string field = "amount") => Problem.Invalid(
        context, new Dictionary<string, string[]> { [field] = [AmountMessage(error, amount, currency)] },
        error == AmountError.TooPrecise ? "amount_precision" : "validation_failed");

    /// <summary>What is wrong with an amount that a client sent.</summary>
    internal static string AmountMessage(AmountError error, string amount, Currency currency) => error switch
    {
        AmountError.TooPrecise => $"{Sent.Quoted(amount)} has too many decimal places: {currency.Code} has {currency.Exponent}.",
        AmountError.OutOfRange =>
            $"{Sent.Quoted(amount)} is out of range. Must be above zero and at most {currency.FormatAmount(Currency.MaxAmount)} {currency.Code}.",
        _ => $"{Sent.Quoted(amount)} is not an amount. Must be a decimal number in digits with a point, such as \"12.34\": no sign, exponent or grouping.",
    };

    internal static string? MetadataError(Dictionary<string, string> metadata)
    {
        if (metadata.Count > MaxMetadataEntries)
            return $"Has {metadata.Count} entries. Must have at most {MaxMetadataEntries}.";
        foreach (var (key, value) in metadata)
        {
            var error = key.Length == 0 ? "The key is empty."
                : Sent.TextError(key, MaxMetadataKey) is { } keyError ? $"The key: {keyError}"
                // Null is possible here, although the type excludes it.
                : value is null ? "The value is null. Must be a string."
                : Sent.TextError(value, MaxMetadataValue) is { } valueError ? $"The value: {valueError}"
                : null;
            if (error is not null)
                return $"{Sent.Quoted(key)}: {error}";
        }
        return null;
    }

    // PostgreSQL stores microseconds: without this, the first answer would show a finer time than later reads.
    private static DateTime ToMicroseconds(DateTime time) => new(time.Ticks - time.Ticks % TimeSpan.TicksPerMicrosecond, DateTimeKind.Utc);
}

/// <summary>The fields that every command has.</summary>
/// <param name="Metadata">JSON; null without any.</param>
/// <param name="Key">The idempotency key.</param>
/// <param name="EffectiveAt">UTC, whole microseconds.</param>
internal readonly record struct CommonFields(string? Reference, string? Metadata, string? Key, DateTime? EffectiveAt);

/// <summary>A command that passed validation.</summary>
/// <param name="Currencies">At least the currencies that it moves.</param>
public sealed record ValidCommand(Command Command, IReadOnlyDictionary<string, Currency> Currencies);
