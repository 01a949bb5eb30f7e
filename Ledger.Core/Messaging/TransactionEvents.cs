using System.Buffers;
using System.Text.Json;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;

namespace Ledger.Core.Messaging;

/// <summary>Decided transactions as CloudEvents 1.0 (JSON event format), for consumers outside the ledger.</summary>
public static class TransactionEvents
{
    /// <summary>The media type of a batch of CloudEvents.</summary>
    public const string ContentType = "application/cloudevents-batch+json";

    /// <summary>The type and the currency, such as <c>transaction.posted.USD</c>.</summary>
    public static string RoutingKey(Transaction transaction) => $"{TypeOf(transaction)}.{transaction.Currency}";

    /// <summary>
    /// Bytes after which a message takes no more events: far below RabbitMQ's default limit of 16 MiB, also with the largest metadata.
    /// </summary>
    public const int MaxBytes = 1024 * 1024;

    /// <summary>
    /// Writes transactions of one currency as messages. An event has the id of its transaction, so that a consumer recognises an event
    /// that arrives twice. Amounts are decimal strings in major units, as in the HTTP API. Entries on settlement and
    /// exchange accounts are left out.
    /// </summary>
    /// <param name="currencies">At least those of the transactions and their entries.</param>
    public static IEnumerable<ReadOnlyMemory<byte>> Write(IReadOnlyList<Transaction> transactions, IReadOnlyDictionary<string, Currency> currencies)
    {
        for (var written = 0; written < transactions.Count;)
        {
            var output = new ArrayBufferWriter<byte>(Math.Min((transactions.Count - written) * 768, MaxBytes));
            using (var json = new Utf8JsonWriter(output, new JsonWriterOptions { SkipValidation = true }))
            {
                json.WriteStartArray();
                while (written < transactions.Count && json.BytesCommitted + json.BytesPending < MaxBytes)
                    Write(json, transactions[written++], currencies);
                json.WriteEndArray();
            }
            yield return output.WrittenMemory;
        }
    }

    private static string TypeOf(Transaction transaction) => transaction.Status switch
    {
        TransactionStatus.Posted => "transaction.posted",
        TransactionStatus.Rejected => "transaction.rejected",
        TransactionStatus.Failed => "transaction.failed",
        _ => throw new ArgumentException($"Transaction {transaction.Id} is not decided.", nameof(transaction)),
    };

    private static void Write(Utf8JsonWriter json, Transaction transaction, IReadOnlyDictionary<string, Currency> currencies)
    {
        json.WriteStartObject();
        json.WriteString("specversion"u8, "1.0"u8);
        json.WriteString("id"u8, transaction.Id);
        json.WriteString("source"u8, "/ledger"u8);
        json.WriteString("type"u8, TypeOf(transaction));
        json.WriteString("time"u8, transaction.DecidedAt!.Value);
        json.WriteString("datacontenttype"u8, "application/json"u8);
        json.WriteStartObject("data"u8);
        json.WriteString("id"u8, transaction.Id);
        json.WriteString("kind"u8, transaction.Kind);
        json.WriteString("status"u8, transaction.Status.Name());
        if (transaction.OwnerId is { } sender)
            json.WriteString("ownerId"u8, sender);
        if (transaction.RecipientId is { } recipient)
            json.WriteString("recipientId"u8, recipient);
        json.WriteString("currency"u8, transaction.Currency);
        json.WriteString("amount"u8, currencies[transaction.Currency].FormatAmount(transaction.Amount));
        if (transaction.Reference is { } reference)
            json.WriteString("reference"u8, reference);
        if (transaction.Metadata is { } metadata)
        {
            json.WritePropertyName("metadata"u8);
            json.WriteRawValue(metadata);
        }
        json.WriteString("createdAt"u8, transaction.CreatedAt);
        if (transaction.EffectiveAt is { } effective)
            json.WriteString("effectiveAt"u8, effective);
        if (transaction.Reverses is { } reversed)
            json.WriteString("reverses"u8, reversed);
        if (transaction.Rejection is { } rejection)
            json.WriteString("rejection"u8, rejection.Code);
        json.WriteStartArray("entries"u8);
        foreach (var entry in transaction.Entries)
        {
            if (entry.BalanceAfter is not { } balance)
                continue;
            var currency = currencies[entry.Amount.Currency];
            json.WriteStartObject();
            json.WriteString("accountId"u8, entry.AccountId);
            if (entry.OwnerId is { } owner)
                json.WriteString("ownerId"u8, owner);
            json.WriteString("currency"u8, currency.Code);
            json.WriteString("amount"u8, currency.FormatAmount(entry.Amount));
            json.WriteString("balanceAfter"u8, currency.FormatAmount(balance));
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
