using System.Text.Json;
using Ledger.Core.Currencies;
using Ledger.Core.Messaging;

namespace Ledger.Core.Transactions;

/// <summary>The facts that only some transactions have, as <c>ledger.transactions.details</c> stores them.</summary>
public sealed record TransactionDetails
{
    /// <summary>The amount that the owner of an exchange gets.</summary>
    public Money? Buy { get; init; }

    /// <summary>The rate of an exchange: major units bought per major unit sold.</summary>
    public string? Rate { get; init; }

    /// <summary>The amount that a debited account had to have available, where that is not the transaction's amount.</summary>
    public Money? Required { get; init; }

    /// <summary>The details of a command as JSON; null for a command that has none.</summary>
    public static string? Of(Command command) =>
        command.Terms?.Buy is { } buy ? Write(new TransactionDetails { Buy = buy, Rate = command.Terms.Rate }) : null;

    /// <summary>The details with the amount that a rejection required.</summary>
    public static string? WithRequired(string? details, Money? required) =>
        required is null ? details : Write(((details is null ? null : Parse(details)) ?? new()) with { Required = required });

    /// <summary>Null if this version cannot read them.</summary>
    public static TransactionDetails? Parse(string details)
    {
        try
        {
            return JsonSerializer.Deserialize(details, MessageJson.Default.TransactionDetails);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string Write(TransactionDetails details) => JsonSerializer.Serialize(details, MessageJson.Default.TransactionDetails);
}
