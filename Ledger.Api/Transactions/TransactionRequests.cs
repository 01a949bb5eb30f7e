using System.ComponentModel;

namespace Ledger.Api.Transactions;

/// <summary>Money that comes in from outside.</summary>
/// <param name="Currency">ISO 4217 code.</param>
/// <param name="Amount">Decimal string in major units, with at most as many decimal places as the currency has.</param>
/// <param name="Reference">Up to 255 characters, shown to both sides.</param>
/// <param name="Metadata">Up to 50 strings of up to 500 characters, under keys of up to 40; shown to the owner alone.</param>
/// <param name="OnBehalfOf">The user whom it is for: a user id or an e-mail address. Operators alone.</param>
public sealed record DepositRequest(
    [property: Description("ISO 4217 code.")] string? Currency,
    [property: Description("Decimal string in major units, such as \"12.34\".")] string? Amount,
    [property: Description("Up to 255 characters.")] string? Reference = null,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40.")] Dictionary<string, string>? Metadata = null,
    [property: Description("Whom it is for: a user id or an e-mail address. Operators and their API keys alone.")] string? OnBehalfOf = null);

/// <summary>Money that leaves.</summary>
/// <param name="Currency">ISO 4217 code.</param>
/// <param name="Amount">Decimal string in major units, with at most as many decimal places as the currency has.</param>
/// <param name="Reference">Up to 255 characters, shown to both sides.</param>
/// <param name="Metadata">Up to 50 strings of up to 500 characters, under keys of up to 40; shown to the caller alone.</param>
public sealed record MoneyRequest(
    [property: Description("ISO 4217 code.")] string? Currency,
    [property: Description("Decimal string in major units, such as \"12.34\".")] string? Amount,
    [property: Description("Up to 255 characters.")] string? Reference = null,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40.")] Dictionary<string, string>? Metadata = null);

/// <summary>Money for another user.</summary>
/// <param name="To">The recipient: a user id or an e-mail address.</param>
/// <param name="Currency">ISO 4217 code.</param>
/// <param name="Amount">Decimal string in major units, with at most as many decimal places as the currency has.</param>
/// <param name="Reference">Up to 255 characters, shown to both sides.</param>
/// <param name="Metadata">Up to 50 strings of up to 500 characters, under keys of up to 40; shown to the caller alone.</param>
public sealed record TransferRequest(
    [property: Description("The recipient: a user id or an e-mail address.")] string? To,
    [property: Description("ISO 4217 code.")] string? Currency,
    [property: Description("Decimal string in major units, such as \"12.34\".")] string? Amount,
    [property: Description("Up to 255 characters.")] string? Reference = null,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40.")] Dictionary<string, string>? Metadata = null);
