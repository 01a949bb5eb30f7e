using System.ComponentModel;
using System.Text.Json;
using Ledger.Api.Transactions;
using Ledger.Core.Currencies;
using Npgsql;

namespace Ledger.Api.Accounts;

/// <summary>The body that opens an account of a user.</summary>
public sealed record AccountRequest(
    [property: Description("ISO 4217 code.")] string? Currency,
    [property: Description("1 to 100 characters, one account per name and currency. The account main exists on first use.")] string? Name,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40 characters.")] Dictionary<string, string>? Metadata = null,
    [property: Description(Descriptions.OnBehalfOf)] string? OnBehalfOf = null);

/// <summary>The body that changes an account.</summary>
public sealed record AccountChange(
    [property: Description("Replaces all metadata: up to 50 strings of up to 500 characters, under keys of up to 40 characters.")] Dictionary<string, string>? Metadata,
    [property: Description(Descriptions.OnBehalfOf)] string? OnBehalfOf = null);

/// <summary>The body that opens a house account.</summary>
public sealed record HouseAccountRequest(
    [property: Description("1 to 100 letters, digits, dots, hyphens and underscores; one account per name and currency.")] string? Name,
    [property: Description("ISO 4217 code.")] string? Currency,
    [property: Description("How far below zero the account may go, in major units; 0 by default.")] string? CreditLimit = null);

/// <summary>The body that sets a credit limit.</summary>
public sealed record CreditLimitRequest(
    [property: Description("How far below zero the account may go, in major units.")] string? CreditLimit);

/// <summary>An account of a user or of the house. Amounts are in major units.</summary>
/// <param name="Kind">user or house.</param>
/// <param name="OwnerId">The user; null for a house account.</param>
/// <param name="Status">open, frozen or closed.</param>
/// <param name="Posted">The sum of the account's entries.</param>
/// <param name="Held">The sum of the account's holds.</param>
/// <param name="Available">Posted minus held plus the credit limit.</param>
/// <param name="CreditLimit">How far below zero the account may go.</param>
public sealed record AccountResponse(
    Guid Id, string Kind, Guid? OwnerId, string Name, string Currency, string Status, string Posted, string Held, string Available, string CreditLimit,
    JsonElement? Metadata, DateTime OpenedAt)
{
    /// <summary>The columns that <see cref="Read"/> expects, of <c>ledger.accounts a</c>.</summary>
    internal const string Columns = "a.id, a.kind, a.owner_id, a.name, a.currency, a.status, a.posted, a.held, a.credit_limit, a.metadata, a.opened_at";

    /// <summary>The code of the currency of a row of <see cref="Columns"/>.</summary>
    internal static string CurrencyOf(NpgsqlDataReader row) => row.GetString(4);

    internal static AccountResponse Read(NpgsqlDataReader row, IReadOnlyDictionary<string, Currency> currencies)
    {
        var currency = currencies.Named(CurrencyOf(row));
        var (posted, held, limit) = (row.GetInt64(6), row.GetInt64(7), row.GetInt64(8));
        return new(
            row.GetGuid(0), row.GetString(1), row.IsDBNull(2) ? null : row.GetGuid(2), row.GetString(3), currency.Code, row.GetString(5),
            currency.FormatAmount(posted), currency.FormatAmount(held), currency.FormatAmount(posted - held + limit), currency.FormatAmount(limit),
            row.IsDBNull(9) ? null : JsonElement.Parse(row.GetString(9)), row.GetDateTime(10));
    }
}

/// <summary>Accounts, in the order of their opening.</summary>
public sealed record AccountList(IReadOnlyList<AccountResponse> Accounts);
