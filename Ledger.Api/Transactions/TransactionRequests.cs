using System.ComponentModel;
using Ledger.Core.Transactions;
using Microsoft.AspNetCore.Mvc;

namespace Ledger.Api.Transactions;

/// <summary>The body of a deposit.</summary>
/// <param name="Currency">ISO 4217 code.</param>
/// <param name="Amount">Decimal string in major units, with at most as many decimal places as the currency has.</param>
/// <param name="Reference">Up to 255 characters, shown to both sides.</param>
/// <param name="Metadata">Up to 50 strings of up to 500 characters, under keys of up to 40 characters; shown to the account's owner only.</param>
/// <param name="OnBehalfOf">The user whose money moves: a user id, an e-mail address or an external id. From service accounts and operators only.</param>
public sealed record DepositRequest(
    [property: Description("ISO 4217 code.")] string? Currency,
    [property: Description("Decimal string in major units, such as \"12.34\".")] string? Amount,
    [property: Description("Up to 255 characters.")] string? Reference = null,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40 characters.")] Dictionary<string, string>? Metadata = null,
    [property: Description("The user whose money moves: a user id, an e-mail address or an external id. From service accounts and operators only.")] string? OnBehalfOf = null);

/// <summary>The body of a withdrawal.</summary>
/// <param name="Currency">ISO 4217 code.</param>
/// <param name="Amount">Decimal string in major units, with at most as many decimal places as the currency has.</param>
/// <param name="Reference">Up to 255 characters.</param>
/// <param name="Metadata">Up to 50 strings of up to 500 characters, under keys of up to 40 characters; shown to the account's owner only.</param>
/// <param name="OnBehalfOf">The user whose money moves: a user id, an e-mail address or an external id. From service accounts and operators only.</param>
public sealed record MoneyRequest(
    [property: Description("ISO 4217 code.")] string? Currency,
    [property: Description("Decimal string in major units, such as \"12.34\".")] string? Amount,
    [property: Description("Up to 255 characters.")] string? Reference = null,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40 characters.")] Dictionary<string, string>? Metadata = null,
    [property: Description("The user whose money moves: a user id, an e-mail address or an external id. From service accounts and operators only.")] string? OnBehalfOf = null);

/// <summary>The body of a transfer.</summary>
/// <param name="To">The recipient: a user id, an e-mail address or an external id.</param>
/// <param name="Currency">ISO 4217 code.</param>
/// <param name="Amount">Decimal string in major units, with at most as many decimal places as the currency has.</param>
/// <param name="Reference">Up to 255 characters, shown to both sides.</param>
/// <param name="Metadata">Up to 50 strings of up to 500 characters, under keys of up to 40 characters; shown to the account's owner only.</param>
/// <param name="OnBehalfOf">The user whose money moves: a user id, an e-mail address or an external id. From service accounts and operators only.</param>
public sealed record TransferRequest(
    [property: Description("The recipient: a user id, an e-mail address or an external id.")] string? To,
    [property: Description("ISO 4217 code.")] string? Currency,
    [property: Description("Decimal string in major units, such as \"12.34\".")] string? Amount,
    [property: Description("Up to 255 characters.")] string? Reference = null,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40 characters.")] Dictionary<string, string>? Metadata = null,
    [property: Description("The user whose money moves: a user id, an e-mail address or an external id. From service accounts and operators only.")] string? OnBehalfOf = null);

/// <summary>A deposit, withdrawal or transfer as its client sent it.</summary>
/// <param name="To">The recipient of a transfer; null for the other kinds.</param>
/// <param name="OnBehalfOf">The user for whom a service account or an operator acts; null if the command is for the caller.</param>
public sealed record CommandRequest(
    TransactionKind Kind, string? Currency, string? Amount, string? Reference, Dictionary<string, string>? Metadata,
    string? To = null, string? OnBehalfOf = null);

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
