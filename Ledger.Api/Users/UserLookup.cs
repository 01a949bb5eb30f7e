using Ledger.Api.Errors;
using Ledger.Core.Identity;
using Microsoft.Extensions.Caching.Memory;
using Npgsql;

namespace Ledger.Api.Users;

/// <summary>
/// Finds a user by what requests name it with: its id, its e-mail address or its external id. The form tells which of them a text is:
/// a UUIDv7 is a user id, an e-mail address is one, and any other text is an external id.
/// </summary>
public sealed class UserLookup(NpgsqlDataSource database) : IDisposable
{
    /// <summary>The largest number of characters of an external id.</summary>
    public const int MaxExternalId = 255;

    // Ids of users that exist. Names are not cached: a user may lose one, and another user may get it. Unknown ids are not cached either.
    private readonly MemoryCache _known = new(new MemoryCacheOptions { SizeLimit = 100_000 });

    /// <summary>Why a text can name no user; null if it can.</summary>
    public static string? ErrorOf(string text) =>
        text.Length == 0 ? "Is empty. Must be a user id, an e-mail address or an external id." : Sent.TextError(text, MaxExternalId);

    /// <summary>The e-mail address, in the form that is compared, or external id that a text is; null if it is a user id.</summary>
    public static string? NameIn(string text) => TryParseUserId(text, out _) ? null : RegisteredEmail.IsEmail(text) ? RegisteredEmail.KeyOf(text) : text;

    /// <summary>Whether the text has the form of a user id.</summary>
    public static bool IsUserId(string text) => TryParseUserId(text, out _);

    /// <summary>The user's id, or null if no user has this name. Whether a user id exists is checked when the command is posted.</summary>
    public ValueTask<Guid?> FindAsync(string text, CancellationToken cancellationToken) =>
        TryParseUserId(text, out var id) ? ValueTask.FromResult<Guid?>(id) : FindExistingAsync(text, cancellationToken);

    /// <summary>The user's id, or null if there is no such user.</summary>
    public ValueTask<Guid?> FindExistingAsync(string text, CancellationToken cancellationToken) =>
        _known.TryGetValue(text, out Guid known) ? ValueTask.FromResult<Guid?>(known) : new(LookUpAsync(text, cancellationToken));

    private async Task<Guid?> LookUpAsync(string text, CancellationToken cancellationToken)
    {
        var isId = TryParseUserId(text, out var userId);
        var isEmail = !isId && RegisteredEmail.IsEmail(text);
        await using var command = database.CreateCommand(
            isId ? "select id from identity.users where id = $1"
            : isEmail ? "select id from identity.users where normalized_email = $1"
            : "select id from identity.users where external_id = $1");
        command.Parameters.Add(new() { Value = isId ? userId : isEmail ? await RegisteredEmail.KeyAsync(database, text, cancellationToken) : text });
        if (await command.ExecuteScalarAsync(cancellationToken) is not Guid id)
            return null;
        if (isId)
            _known.Set(text, id, new MemoryCacheEntryOptions { Size = 1 });
        return id;
    }

    private static bool TryParseUserId(string text, out Guid id) => Guid.TryParseExact(text, "D", out id) && id.Version == 7;

    public void Dispose() => _known.Dispose();
}
