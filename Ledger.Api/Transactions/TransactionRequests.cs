using System.ComponentModel;
using Ledger.Core.Transactions;
using Microsoft.AspNetCore.Mvc;

namespace Ledger.Api.Transactions;

/// <summary>Descriptions of fields that several bodies have.</summary>
internal static class Descriptions
{
    public const string EffectiveAt = "An RFC 3339 time at which the transaction counts, if that is not when it is posted; not in the future. From service accounts with scope transactions and operators only.";
    public const string OnBehalfOf = "The user for whom the request acts: a user id, an e-mail address or an external id. From service accounts and operators only.";
    public const string Account = "The id of the user's account that is debited; by default its main account.";
}

/// <summary>The body of a deposit.</summary>
/// <param name="Currency">ISO 4217 code.</param>
/// <param name="Amount">Decimal string in major units, with at most as many decimal places as the currency has.</param>
/// <param name="Reference">Up to 255 characters, shown to both sides.</param>
/// <param name="Metadata">Up to 50 strings of up to 500 characters, under keys of up to 40 characters; shown to the account's owner only.</param>
/// <param name="OnBehalfOf">The user for whom the request acts: a user id, an e-mail address or an external id. From service accounts and operators only.</param>
public sealed record DepositRequest(
    [property: Description("ISO 4217 code.")] string? Currency,
    [property: Description("Decimal string in major units, such as \"12.34\".")] string? Amount,
    [property: Description("Up to 255 characters.")] string? Reference = null,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40 characters.")] Dictionary<string, string>? Metadata = null,
    [property: Description(Descriptions.OnBehalfOf)] string? OnBehalfOf = null,
    [property: Description(Descriptions.EffectiveAt)] string? EffectiveAt = null);

/// <summary>The body of a withdrawal.</summary>
/// <param name="Currency">ISO 4217 code.</param>
/// <param name="Amount">Decimal string in major units, with at most as many decimal places as the currency has.</param>
/// <param name="Reference">Up to 255 characters.</param>
/// <param name="Metadata">Up to 50 strings of up to 500 characters, under keys of up to 40 characters; shown to the account's owner only.</param>
/// <param name="OnBehalfOf">The user for whom the request acts: a user id, an e-mail address or an external id. From service accounts and operators only.</param>
public sealed record MoneyRequest(
    [property: Description("ISO 4217 code.")] string? Currency,
    [property: Description("Decimal string in major units, such as \"12.34\".")] string? Amount,
    [property: Description("Up to 255 characters.")] string? Reference = null,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40 characters.")] Dictionary<string, string>? Metadata = null,
    [property: Description(Descriptions.OnBehalfOf)] string? OnBehalfOf = null,
    [property: Description(Descriptions.Account)] string? Account = null,
    [property: Description(Descriptions.EffectiveAt)] string? EffectiveAt = null);

/// <summary>The body of a transfer.</summary>
/// <param name="To">The recipient: a user id, an e-mail address, an external id, or the id of an account.</param>
/// <param name="Currency">ISO 4217 code.</param>
/// <param name="Amount">Decimal string in major units, with at most as many decimal places as the currency has.</param>
/// <param name="Reference">Up to 255 characters, shown to both sides.</param>
/// <param name="Metadata">Up to 50 strings of up to 500 characters, under keys of up to 40 characters; shown to the account's owner only.</param>
/// <param name="OnBehalfOf">The user for whom the request acts: a user id, an e-mail address or an external id. From service accounts and operators only.</param>
public sealed record TransferRequest(
    [property: Description("The recipient: a user id, an e-mail address, an external id, or the id of an account.")] string? To,
    [property: Description("ISO 4217 code.")] string? Currency,
    [property: Description("Decimal string in major units, such as \"12.34\".")] string? Amount,
    [property: Description("Up to 255 characters.")] string? Reference = null,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40 characters.")] Dictionary<string, string>? Metadata = null,
    [property: Description(Descriptions.OnBehalfOf)] string? OnBehalfOf = null,
    [property: Description(Descriptions.Account)] string? Account = null,
    [property: Description(Descriptions.EffectiveAt)] string? EffectiveAt = null);

/// <summary>The body of a journal.</summary>
/// <param name="Postings">1 to 64 postings, judged in order, all or none.</param>
public sealed record JournalRequest(
    [property: Description("1 to 64 postings, judged in order, all or none.")] IReadOnlyList<PostingRequest>? Postings,
    [property: Description("Up to 255 characters.")] string? Reference = null,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40 characters.")] Dictionary<string, string>? Metadata = null,
    [property: Description(Descriptions.EffectiveAt)] string? EffectiveAt = null);

/// <summary>Money from one end to the other.</summary>
public sealed record PostingRequest(
    [property: Description("The debited end: user:<id, e-mail address or external id>, account:<id>, house:<name> or world.")] string? From,
    [property: Description("The credited end: user:<id, e-mail address or external id>, account:<id>, house:<name> or world.")] string? To,
    [property: Description("ISO 4217 code.")] string? Currency,
    [property: Description("Decimal string in major units, such as \"12.34\".")] string? Amount);

/// <summary>The body of an exchange.</summary>
/// <param name="Sell">What the user gives.</param>
/// <param name="Buy">What the user gets, in another currency.</param>
public sealed record ExchangeRequest(
    [property: Description("What the user gives.")] AmountRequest? Sell,
    [property: Description("What the user gets, in another currency.")] AmountRequest? Buy,
    [property: Description("The user who exchanges: a user id, an e-mail address or an external id; by default the operator who calls.")] string? OnBehalfOf = null,
    [property: Description("Up to 255 characters.")] string? Reference = null,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40 characters.")] Dictionary<string, string>? Metadata = null,
    [property: Description(Descriptions.EffectiveAt)] string? EffectiveAt = null);

/// <summary>An amount of a currency.</summary>
public sealed record AmountRequest(
    [property: Description("ISO 4217 code.")] string? Currency,
    [property: Description("Decimal string in major units, such as \"12.34\".")] string? Amount);

/// <summary>The body of a reversal; it may be left out.</summary>
public sealed record ReversalRequest(
    [property: Description("Up to 255 characters.")] string? Reference = null,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40 characters.")] Dictionary<string, string>? Metadata = null,
    [property: Description(Descriptions.EffectiveAt)] string? EffectiveAt = null);

/// <summary>A deposit, withdrawal or transfer as its client sent it.</summary>
/// <param name="To">The recipient of a transfer; null for the other kinds.</param>
/// <param name="OnBehalfOf">The user for whom a service account or an operator acts; null if the command is for the caller.</param>
public sealed record CommandRequest(
    TransactionKind Kind, string? Currency, string? Amount, string? Reference, Dictionary<string, string>? Metadata,
    string? To = null, string? OnBehalfOf = null, string? Account = null, string? EffectiveAt = null);

/// <summary>The query parameters of a list of transactions.</summary>
public sealed record TransactionListQuery(
    [FromQuery(Name = "currency")] string? Currency,
    [FromQuery(Name = "kind")] string? Kind,
    [FromQuery(Name = "status")] string? Status,
    [FromQuery(Name = "from")] string? From,
    [FromQuery(Name = "to")] string? To,
    [FromQuery(Name = "by")] string? By,
    [FromQuery(Name = "reference")] string? Reference,
    [FromQuery(Name = "metadata")] string? Metadata,
    [FromQuery(Name = "minAmount")] string? MinAmount,
    [FromQuery(Name = "maxAmount")] string? MaxAmount,
    [FromQuery(Name = "cursor")] string? Cursor,
    [FromQuery(Name = "limit")] string? Limit);
