using System.Globalization;
using System.Text.Json;
using Ledger.Cli.Export;
using Ledger.Core.Currencies;
using Ledger.Core.Identity;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;

namespace Ledger.Cli.Import;

/// <summary>The rules of a line that it shows by itself. What the ledger must know for is checked when the line is written.</summary>
internal sealed class LineCheck(Dictionary<string, Currency> currencies, DateTime now)
{
    private readonly CanonicalWriter _canonical = new();

    /// <summary>Checks a line that is no transaction.</summary>
    public void Other(long number, Line line)
    {
        switch (line)
        {
            case CurrencyLine currency:
                Currency(number, currency);
                break;
            case PeriodLine period:
                Time(number, "closedUntil", period.ClosedUntil);
                break;
            case UserLine user:
                User(number, user);
                break;
            case AccountLine account:
                Account(number, account);
                break;
            case KeyLine { Key.Length: 0 or > 255 }:
                throw new ImportException(number, "key takes 1 to 255 characters.");
            case KeyLine { RequestHash.Length: < 2 }:
                throw new ImportException(number, "requestHash takes a version byte and a hash, in Base64.");
            default:
                break;
        }
    }

    /// <summary>The transaction of a line. Entries of the world outside have no account yet, and entries may have no balance.</summary>
    public Transaction Transaction(long number, TransactionLine line)
    {
        Require(number, line.Id != Guid.Empty, "id takes a UUID.");
        Require(number, TransactionNames.Kinds.Contains(line.Kind), $"kind takes {string.Join(", ", TransactionNames.Kinds)}; \"{line.Kind}\" is none of them.");
        Require(number, line.HoldId is null, "holdId: holds are not imported.");
        Require(number, line.Status != TransactionStatus.Pending, "status takes posted, rejected or failed.");
        Require(number, line.PrincipalId is not null || line.OwnerId is not null, "principalId or ownerId is required.");
        Require(number, (line.Status == TransactionStatus.Rejected) == line.Rejection is not null, "rejection is required for status rejected, and for no other.");
        Require(number, (line.Status == TransactionStatus.Failed) == line.Failure is not null, "failure is required for status failed, and for no other.");
        Require(number, (line.Currency is null) == (line.Amount is null), "currency and amount stand together.");
        Require(number, line.Currency is not null || line.Status == TransactionStatus.Failed, "currency and amount are required.");
        Require(number, (line.Kind == "reversal") == line.Reverses is not null || line.Status != TransactionStatus.Posted, "reverses is required for kind reversal, and for no other.");
        Time(number, "decidedAt", line.DecidedAt);
        Time(number, "createdAt", line.CreatedAt);
        Time(number, "effectiveAt", line.EffectiveAt);
        Require(number, line.DecidedAt <= now, $"decidedAt is in the future. It takes a time up to {now:O}.");
        Require(number, line.EffectiveAt is null || line.EffectiveAt < line.DecidedAt, "effectiveAt takes a time before decidedAt. Leave it out where they are the same.");
        Require(number, line.Reference is null || (line.Reference.Length <= 255 && !line.Reference.Contains('\0')), "reference takes up to 255 characters without NUL.");
        Metadata(number, line.Metadata);
        Json(number, "details", line.Details);

        var transaction = new Transaction
        {
            Id = line.Id,
            Kind = line.Kind,
            Status = line.Status,
            PrincipalId = line.PrincipalId ?? line.OwnerId!.Value,
            OwnerId = line.OwnerId,
            RecipientId = line.RecipientId,
            Amount = line.Currency is null ? new Money(0, "") : Amount(number, "amount", line.Currency, line.Amount!),
            Reference = line.Reference,
            Metadata = line.Metadata?.Text,
            Details = line.Details?.Text,
            CreatedAt = line.CreatedAt ?? line.DecidedAt,
            DecidedAt = line.DecidedAt,
            EffectiveAt = line.EffectiveAt,
            Reverses = line.Reverses,
            Rejection = Rejection(number, line.Rejection),
            Failure = line.Failure,
            Entries = [.. line.Entries.Select((entry, place) => Entry(number, entry, place))],
        };
        Require(number, line.Currency is null || transaction.Amount.MinorUnits > 0 || line.Status == TransactionStatus.Failed, "amount must be above zero.");
        Entries(number, transaction);
        Require(number, line.Digest is null || line.Digest == Convert.ToHexStringLower(TransactionDigest.Of(transaction, _canonical)),
            "the digest is not that of the line: the line was changed after it was exported.");
        return transaction;
    }

    private static void Entries(long number, Transaction transaction)
    {
        if (transaction.Status != TransactionStatus.Posted)
        {
            Require(number, transaction.Entries.Count == 0, "only a posted transaction has entries.");
            return;
        }
        Require(number, transaction.Entries.Count is >= 2 and <= 2 * Plan.MaxMovements, $"entries: a posted transaction has 2 to {2 * Plan.MaxMovements}.");
        foreach (var currency in transaction.Entries.GroupBy(entry => entry.Amount.Currency))
        {
            var sum = currency.Aggregate((Int128)0, (sum, entry) => sum + entry.Amount.MinorUnits);
            Require(number, sum == 0, $"the entries in {currency.Key} sum to {sum} minor units. They must sum to zero.");
        }
    }

    private Entry Entry(long number, EntryPart entry, int place)
    {
        var amount = Amount(number, $"entries[{place}].amount", entry.Currency, entry.Amount);
        Require(number, amount.MinorUnits != 0, $"entries[{place}].amount must not be zero.");
        Require(number, currencies.ContainsKey(entry.Currency), $"entries[{place}].currency: there is no currency {entry.Currency}. A line of type currency adds it.");
        return new Entry(
            entry.AccountId ?? Guid.Empty, null, amount,
            entry.BalanceAfter is { } balance ? Amount(number, $"entries[{place}].balanceAfter", entry.Currency, balance).MinorUnits : null);
    }

    private Rejection? Rejection(long number, RejectionPart? part) => part is null ? null : new Rejection(
        part.Code,
        part.Available is { } available ? Amount(number, "rejection.available", part.Currency ?? "", available).MinorUnits : null,
        part.Index is null or (>= 0 and < Plan.MaxMovements) ? part.Index : throw new ImportException(number, $"rejection.index takes 0 to {Plan.MaxMovements - 1}."));

    private void Currency(long number, CurrencyLine line)
    {
        Require(number, line.Code is { Length: >= 3 and <= 12 } && char.IsAsciiLetterUpper(line.Code[0]) && line.Code.All(c => char.IsAsciiLetterUpper(c) || char.IsAsciiDigit(c)),
            $"code takes 3 to 12 letters A to Z and digits; \"{line.Code}\" is no such code.");
        Require(number, line.Exponent is >= 0 and <= 12, "exponent takes 0 to 12.");
        var known = currencies.GetValueOrDefault(line.Code);
        Require(number, known is null || known.Exponent == line.Exponent, $"exponent: {line.Code} has {known?.Exponent} decimal places in this ledger, and {line.Exponent} in the file.");
        Text(number, "name", line.Name, 255);
        foreach (var (field, shards) in new[] { ("settlement", line.Settlement), ("exchange", line.Exchange) })
        {
            Require(number, shards is null || (shards.Length == PostingEngine.SettlementShards && shards.Distinct().Count() == shards.Length),
                $"{field} takes {PostingEngine.SettlementShards} different ids.");
        }
        currencies[line.Code] = new Currency(line.Code, line.Name, line.Exponent, line.Enabled);
    }

    private static void User(long number, UserLine line)
    {
        // Where the API takes a user's id, other texts are external ids.
        Require(number, line.Id.Version == 7, "id takes a UUIDv7.");
        Require(number, line.Email is null || RegisteredEmail.IsEmail(line.Email), $"email: \"{line.Email}\" is no e-mail address.");
        Text(number, "externalId", line.ExternalId, 255);
        Require(number, line.ExternalId is null || (!RegisteredEmail.IsEmail(line.ExternalId) && !(Guid.TryParse(line.ExternalId, out var id) && id.Version == 7)),
            "externalId takes a text that is neither an e-mail address nor a user id.");
        Text(number, "name", line.Name, 255);
        Metadata(number, line.Metadata);
        Time(number, "createdAt", line.CreatedAt);
        Time(number, "frozenAt", line.FrozenAt);
        Time(number, "closedAt", line.ClosedAt);
        foreach (var login in line.Logins ?? [])
        {
            Text(number, "logins.provider", login.Provider, 255);
            Text(number, "logins.subject", login.Subject, 255);
        }
        Require(number, line.ClosedAt is null || line is { Email: null, ExternalId: null, Name: null, Metadata: null, Logins: null }, "a closed user has an id alone.");
    }

    private void Account(long number, AccountLine line)
    {
        Require(number, line.Id != Guid.Empty, "id takes a UUID.");
        Require(number, line.Kind is "user" or "house", $"kind takes user or house; \"{line.Kind}\" is neither.");
        Require(number, (line.Kind == "user") == line.OwnerId is not null, "ownerId is required for kind user, and not for house.");
        Require(number, line.Status is "open" or "frozen" or "closed", $"status takes open, frozen or closed; \"{line.Status}\" is none of them.");
        Text(number, "name", line.Name, 100);
        Require(number, currencies.ContainsKey(line.Currency), $"there is no currency {line.Currency}. A line of type currency adds it.");
        Require(number, CreditLimit(number, line) is >= 0 and <= Core.Currencies.Currency.MaxAmount, "creditLimit takes an amount from 0.");
        Metadata(number, line.Metadata);
        Time(number, "openedAt", line.OpenedAt);
    }

    /// <summary>The credit limit of an account in minor units.</summary>
    public long CreditLimit(long number, AccountLine line) => Amount(number, "creditLimit", line.Currency, line.CreditLimit).MinorUnits;

    private Money Amount(long number, string field, string code, string text)
    {
        var currency = currencies.Named(code);
        const NumberStyles Style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint;
        if (text is not { Length: > 0 and <= 30 } || text[0] == '+' || !decimal.TryParse(text, Style, CultureInfo.InvariantCulture, out var major)
            || Math.Abs(major) > long.MaxValue / Power(currency.Exponent) || major * Power(currency.Exponent) % 1 != 0)
            throw new ImportException(number, $"{field}: \"{text}\" is no amount of {code}. It takes a decimal string with at most {currency.Exponent} decimal places.");
        return new Money((long)(major * Power(currency.Exponent)), code);
    }

    private static decimal Power(int exponent)
    {
        var power = 1m;
        for (var i = 0; i < exponent; i++)
            power *= 10;
        return power;
    }

    private static void Text(long number, string field, string? text, int maxLength) =>
        Require(number, text is null || (text.Length > 0 && text.Length <= maxLength && !text.AsSpan().ContainsAnyInRange('\0', '\x1f')),
            $"{field} takes 1 to {maxLength} characters without control characters.");

    private static void Metadata(long number, JsonText? metadata)
    {
        if (metadata is null)
            return;
        using var json = Json(number, "metadata", metadata);
        Require(number, json!.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.EnumerateObject().All(entry => entry.Value.ValueKind == JsonValueKind.String),
            "metadata takes an object of strings.");
    }

    private static JsonDocument? Json(long number, string field, JsonText? text)
    {
        try
        {
            return text is null ? null : JsonDocument.Parse(text.Text);
        }
        catch (JsonException)
        {
            throw new ImportException(number, $"{field} takes a JSON object.");
        }
    }

    private static void Time(long number, string field, DateTime? time) =>
        Require(number, time is null || (time.Value.Kind == DateTimeKind.Utc && time.Value.Ticks % TimeSpan.TicksPerMicrosecond == 0),
            $"{field} takes a time in UTC with at most 6 decimal places of a second, such as 2026-01-31T12:00:00Z.");

    private static void Require(long number, bool holds, string wanted)
    {
        if (!holds)
            throw new ImportException(number, wanted);
    }
}
