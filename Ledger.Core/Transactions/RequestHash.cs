using System.Security.Cryptography;
using System.Text.Json;

namespace Ledger.Core.Transactions;

/// <summary>
/// What an idempotency key stands for: SHA-256 over the meaning of a request, behind a version byte. It is over named fields, not
/// over a serialized record, so that a new field of commands leaves stored hashes as they are.
/// </summary>
public static class RequestHash
{
    private const byte Version = 1;

    /// <summary>The hash of a command, in the newest version.</summary>
    public static byte[] Of(Command command) => Of(command, command.RecipientId?.ToString() ?? command.RecipientAddress);

    /// <summary>Whether a stored hash is that of a command, in the version in which it was stored.</summary>
    // The recipient may have been unknown by its address then, and be known now.
    public static bool Matches(Command command, ReadOnlySpan<byte> stored) =>
        stored[0] == Version && (stored.SequenceEqual(Of(command)) || (command.RecipientAddress is { } address && stored.SequenceEqual(Of(command, address))));

    private static byte[] Of(Command command, string? recipient)
    {
        var fields = new CanonicalWriter();
        fields.Write(command.Kind.Name());
        fields.Write(command.OwnerId);
        fields.Write(recipient);
        fields.Write(command.Amount.Currency);
        fields.Write(command.Amount.MinorUnits);
        fields.Write(command.Reference);
        if (command.Terms is { } terms)
            Write(fields, terms);
        // No metadata and an empty object mean the same, and so do two orders of one.
        if (command.Metadata is not null)
        {
            using var metadata = JsonDocument.Parse(command.Metadata);
            foreach (var entry in metadata.RootElement.EnumerateObject().OrderBy(entry => entry.Name, StringComparer.Ordinal))
            {
                fields.Write(entry.Name);
                fields.Write(entry.Value.GetString());
            }
        }
        return [Version, .. SHA256.HashData(fields.Written)];
    }

    // An absent field stands first: no name of metadata is absent, so that terms and metadata cannot be taken for each other. The rate
    // follows from the amounts.
    private static void Write(CanonicalWriter fields, CommandTerms terms)
    {
        fields.Write((string?)null);
        fields.Write(terms.AccountId);
        fields.Write(terms.EffectiveAt);
        fields.Write(terms.Buy?.Currency);
        fields.Write(terms.Buy?.MinorUnits);
        fields.Write(terms.Reverses);
        fields.Write(terms.Postings?.Count ?? 0);
        foreach (var posting in terms.Postings ?? [])
        {
            Write(fields, posting.From);
            Write(fields, posting.To);
            fields.Write(posting.Amount.Currency);
            fields.Write(posting.Amount.MinorUnits);
        }
    }

    private static void Write(CanonicalWriter fields, PostingEnd end)
    {
        fields.Write(end.UserId);
        fields.Write(end.AccountId);
        fields.Write(end.House);
    }
}
