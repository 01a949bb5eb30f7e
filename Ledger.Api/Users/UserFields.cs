using System.Text.Json;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Requests;
using Ledger.Api.Transactions;
using Ledger.Core.Identity;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Api.Users;

/// <summary>What a user may have beside its id, checked and in normal form.</summary>
internal sealed record UserFields(string? ExternalId, string? Email, string? Name, string? Metadata)
{
    private const int MaxLength = 255;

    /// <summary>The fields in normal form, and the errors of those that do not fit.</summary>
    public static async Task<(UserFields Fields, Dictionary<string, string[]> Errors)> OfAsync(
        NpgsqlDataSource database, string? externalId, string? email, string? name, Dictionary<string, string>? metadata, CancellationToken cancellationToken)
    {
        var errors = new Dictionary<string, string[]>();
        if (externalId is not null && ExternalIdError(externalId) is { } externalIdError)
            errors["externalId"] = [externalIdError];
        var canonical = email is null ? null : await RegisteredEmail.CanonicalAsync(database, email, cancellationToken);
        if (email is not null && !RegisteredEmail.IsEmail(canonical))
            errors["email"] = [IdentityEndpoints.NotAnEmail(email)];
        if (name is not null && TextError(name) is { } nameError)
            errors["name"] = [nameError];
        if (metadata is not null && CommandReader.MetadataError(metadata) is { } metadataError)
            errors["metadata"] = [metadataError];
        var json = metadata is null or { Count: 0 } ? null : JsonSerializer.Serialize(metadata, ApiJson.Default.DictionaryStringString);
        return (new UserFields(externalId, canonical, name, json), errors);
    }

    /// <summary>The error of an external id; null if it fits. One in the form of an e-mail address could be taken for another user's.</summary>
    public static string? ExternalIdError(string externalId) =>
        TextError(externalId) ?? (RegisteredEmail.IsEmail(externalId) ? "Is an e-mail address. Send it as email."
            // Requests that name a user by this text would mean the user with this id.
            : UserLookup.IsUserId(externalId) ? "Has the form of a user id (UUIDv7). Must be another text."
            : null);

    /// <summary>Metadata with changes merged in (RFC 7396): an entry that is null is removed. No changes at all remove everything.</summary>
    public static Dictionary<string, string>? Merge(JsonElement? metadata, Dictionary<string, string>? changes)
    {
        if (changes is null)
            return null;
        var merged = metadata?.EnumerateObject().ToDictionary(entry => entry.Name, entry => entry.Value.GetString()!) ?? [];
        foreach (var (key, value) in changes)
        {
            // Null is possible here, although the type excludes it.
            if (value is null)
                merged.Remove(key);
            else
                merged[key] = value;
        }
        return merged;
    }

    public JsonElement? MetadataJson() => Metadata is null ? null : JsonElement.Parse(Metadata);

    /// <summary>The parameters $1 to $6: id, external id, e-mail address, its key, name and metadata.</summary>
    public void AddTo(NpgsqlParameterCollection parameters, Guid id)
    {
        parameters.Add(new() { Value = id });
        foreach (var text in new[] { ExternalId, Email, Email is null ? null : RegisteredEmail.KeyOf(Email), Name })
            parameters.Add(new() { Value = (object?)text ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        parameters.Add(new() { Value = (object?)Metadata ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Json });
    }

    private static string? TextError(string text) =>
        text.Length == 0 ? $"Is empty. Must be text of 1 to {MaxLength} characters." : Sent.TextError(text, MaxLength);
}
