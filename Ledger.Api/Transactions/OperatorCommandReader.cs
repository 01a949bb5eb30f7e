using System.Collections.Frozen;
using System.Globalization;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Users;
using Ledger.Core.Currencies;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Ledger.Api.Transactions;

/// <summary>Validates journals, exchanges and reversals and turns them into commands. A request that is refused here leaves no trace in the ledger.</summary>
public sealed class OperatorCommandReader(CommandReader common, CurrencyCatalog catalog, UserLookup users, TransactionQueries queries)
{
    private const int MaxHouseName = 100;

    /// <summary>Returns the command, or the problem that the request has.</summary>
    public async Task<(ValidCommand? Command, ProblemHttpResult? Problem)> ReadAsync(JournalRequest request, HttpContext context)
    {
        var errors = new Dictionary<string, string[]>();
        var fields = common.ReadCommon(request.Reference, request.Metadata, request.EffectiveAt, context, errors);
        var sent = request.Postings ?? [];
        if (sent.Count is 0 or > Plan.MaxMovements)
            errors["postings"] = [$"Has {sent.Count} postings. Must have 1 to {Plan.MaxMovements}."];
        else
            CheckPostings(sent, errors);
        if (errors.Count > 0)
            return (null, Problem.Invalid(context, errors));

        var currencies = await catalog.GetAsync(sent.Select(posting => posting.Currency!), context.RequestAborted);
        var postings = new JournalPosting[sent.Count];
        Int128 total = 0;
        for (var i = 0; i < postings.Length; i++)
        {
            if (!currencies.TryGetValue(sent[i].Currency!, out var currency))
                return (null, CommandProblems.CurrencyUnknown(context, sent[i].Currency!, currencies, i));
            if (currency.ParseAmount(sent[i].Amount, out var minorUnits) is not AmountError.None and var error)
                return (null, CommandReader.AmountProblem(context, error, sent[i].Amount!, currency, $"postings[{i}].amount"));
            if (await EndAsync(sent[i].From!, context.RequestAborted) is not { } from || await EndAsync(sent[i].To!, context.RequestAborted) is not { } to)
                return (null, CommandProblems.Rejected(context, RejectionCodes.RecipientUnknown, i));
            postings[i] = new JournalPosting(from, to, new Money(minorUnits, currency.Code));
            total += currency.Code == sent[0].Currency ? minorUnits : 0;
        }
        if (total > Currency.MaxAmount)
        {
            var first = currencies[sent[0].Currency!];
            return (null, Problem.Invalid(context, new Dictionary<string, string[]>
            {
                ["postings"] = [$"The amounts in {first.Code} sum to more than {first.FormatAmount(Currency.MaxAmount)}."],
            }));
        }
        var command = common.NewCommand(
            TransactionKind.Journal, null, new Money((long)total, sent[0].Currency!), new CommandTerms { Postings = postings, EffectiveAt = fields.EffectiveAt }, fields, context);
        return (new ValidCommand(command, currencies), null);
    }

    /// <summary>Returns the command, or the problem that the request has.</summary>
    public async Task<(ValidCommand? Command, ProblemHttpResult? Problem)> ReadAsync(ExchangeRequest request, HttpContext context)
    {
        var errors = new Dictionary<string, string[]>();
        var fields = common.ReadCommon(request.Reference, request.Metadata, request.EffectiveAt, context, errors);
        CheckAmount("sell", request.Sell, errors);
        CheckAmount("buy", request.Buy, errors);
        if (errors.Count == 0 && request.Sell!.Currency == request.Buy!.Currency)
            errors["buy.currency"] = [$"Is {Sent.Quoted(request.Buy.Currency!)}, as that of sell. Must be another currency."];
        var caller = context.Caller();
        if ((request.OnBehalfOf is { } text ? UserLookup.ErrorOf(text) : caller.IsUser ? null : OnBehalfOf.Required) is { } error)
            errors[OnBehalfOf.Name] = [error];
        if (errors.Count > 0)
            return (null, Problem.Invalid(context, errors));

        var currencies = await catalog.GetAsync([request.Sell!.Currency!, request.Buy!.Currency!], context.RequestAborted);
        var owner = request.OnBehalfOf is null ? caller.Id : await users.FindAsync(request.OnBehalfOf, context.RequestAborted);
        if (Parse("sell", request.Sell, currencies, context, out var sell) is { } sellProblem)
            return (null, sellProblem);
        if (Parse("buy", request.Buy, currencies, context, out var buy) is { } buyProblem)
            return (null, buyProblem);
        if (owner is null)
            return (null, CommandProblems.Rejected(context, RejectionCodes.RecipientUnknown));

        var terms = new CommandTerms { Buy = buy, Rate = RateOf(sell, buy, currencies), EffectiveAt = fields.EffectiveAt };
        return (new ValidCommand(common.NewCommand(TransactionKind.Exchange, owner, sell, terms, fields, context), currencies), null);
    }

    /// <summary>Returns the command, or the problem that the request has.</summary>
    /// <param name="id">The transaction to reverse.</param>
    public async Task<(ValidCommand? Command, ProblemHttpResult? Problem)> ReadAsync(Guid id, ReversalRequest? request, HttpContext context)
    {
        var errors = new Dictionary<string, string[]>();
        var fields = common.ReadCommon(request?.Reference, request?.Metadata, request?.EffectiveAt, context, errors);
        if (errors.Count > 0)
            return (null, Problem.Invalid(context, errors));
        if (await queries.FindTargetAsync(context.Caller().Id, id, context.RequestAborted) is not { } original)
            return (null, Problem.NotFound(context));
        // Whether it is reversed already is the engine's to say: a retry with the same key gets the same answer.
        if (!original.IsReversible)
            return (null, CommandProblems.Rejected(context, RejectionCodes.NotReversible));

        var currencies = await catalog.GetAsync(original.Currencies, context.RequestAborted);
        var terms = new CommandTerms { Reverses = id, EffectiveAt = fields.EffectiveAt };
        return (new ValidCommand(common.NewCommand(TransactionKind.Reversal, null, original.Amount, terms, fields, context), currencies), null);
    }

    private static void CheckPostings(IReadOnlyList<PostingRequest> postings, Dictionary<string, string[]> errors)
    {
        for (var i = 0; i < postings.Count; i++)
        {
            // Null is possible here, although the type excludes it.
            if (postings[i] is not { } posting)
            {
                errors[$"postings[{i}]"] = ["Is null. Must be an object."];
                continue;
            }
            CheckAmount($"postings[{i}]", new AmountRequest(posting.Currency, posting.Amount), errors);
            if (!IsEnd(posting.From))
                errors[$"postings[{i}].from"] = [NotAnEnd(posting.From)];
            if (!IsEnd(posting.To))
                errors[$"postings[{i}].to"] = [NotAnEnd(posting.To)];
            else if (posting.From == posting.To)
                errors[$"postings[{i}].to"] = [$"Is {Sent.Quoted(posting.To!)}, as from. Must be another account."];
        }
    }

    private static void CheckAmount(string field, AmountRequest? amount, Dictionary<string, string[]> errors)
    {
        if (string.IsNullOrEmpty(amount?.Currency))
            errors[$"{field}.currency"] = ["Is required: an ISO 4217 code."];
        if (string.IsNullOrEmpty(amount?.Amount))
            errors[$"{field}.amount"] = ["Is required: a decimal string in major units, such as \"12.34\"."];
    }

    private static ProblemHttpResult? Parse(
        string field, AmountRequest sent, FrozenDictionary<string, Currency> currencies, HttpContext context, out Money amount)
    {
        amount = default;
        if (!currencies.TryGetValue(sent.Currency!, out var currency))
            return CommandProblems.CurrencyUnknown(context, sent.Currency!, currencies);
        var error = currency.ParseAmount(sent.Amount, out var minorUnits);
        amount = new Money(minorUnits, currency.Code);
        return error is AmountError.None ? null : CommandReader.AmountProblem(context, error, sent.Amount!, currency, $"{field}.amount");
    }

    private static bool IsEnd(string? text) => text switch
    {
        null => false,
        "world" => true,
        _ when text.StartsWith("user:", StringComparison.Ordinal) => UserLookup.ErrorOf(text["user:".Length..]) is null,
        _ when text.StartsWith("account:", StringComparison.Ordinal) => Guid.TryParseExact(text.AsSpan("account:".Length), "D", out _),
        _ when text.StartsWith("house:", StringComparison.Ordinal) => text["house:".Length..] is { Length: > 0 and <= MaxHouseName } name && Sent.IsText(name),
        _ => false,
    };

    private static string NotAnEnd(string? text) => string.IsNullOrEmpty(text)
        ? "Is required: user:<id, e-mail address or external id>, account:<id>, house:<name> or world."
        : $"{Sent.Quoted(text)} is not an end. Must be user:<id, e-mail address or external id>, account:<id>, house:<name> or world.";

    // Null for a user who is not registered.
    private async ValueTask<PostingEnd?> EndAsync(string text, CancellationToken cancellationToken)
    {
        if (text == "world")
            return new PostingEnd();
        var value = text[(text.IndexOf(':') + 1)..];
        return text[0] switch
        {
            'u' => await users.FindAsync(value, cancellationToken) is { } user ? new PostingEnd(UserId: user) : null,
            'a' => new PostingEnd(AccountId: Guid.ParseExact(value, "D")),
            _ => new PostingEnd(House: value),
        };
    }

    // 12 significant digits; the amounts themselves are exact.
    private static string RateOf(Money sell, Money buy, FrozenDictionary<string, Currency> currencies)
    {
        var rate = (double)buy.MinorUnits / sell.MinorUnits * Math.Pow(10, currencies[sell.Currency].Exponent - currencies[buy.Currency].Exponent);
        var rounded = double.Parse(rate.ToString("G12", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        return rounded.ToString("0." + new string('#', 40), CultureInfo.InvariantCulture);
    }
}
