using System.Buffers.Binary;
using System.Buffers.Text;
using System.Security.Claims;
using System.Security.Cryptography;
using Ledger.Api.Errors;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Identity;

/// <summary>
/// Short-lived access tokens, encrypted and authenticated by ASP.NET Core's data protection with keys that all API processes share.
/// A check needs no database: <see cref="Revocations"/> has what was revoked in memory.
/// </summary>
public sealed class AccessTokens(
    IDataProtectionProvider protection, Revocations revocations, TimeProvider clock, IOptions<IdentitySettings> settings)
{
    // Version, session, user, roles, time of the roles in ticks, expiry in seconds since 1970.
    private const int Length = 1 + 16 + 16 + 1 + 8 + 8;
    private const byte Version = 2;

    // No valid token is longer, so longer ones are not decrypted.
    private const int MaxLength = 512;

    private readonly IDataProtector _protector = protection.CreateProtector("Ledger.AccessToken");
    private readonly TokenCache<ReadToken> _cache = new();

    /// <summary>The lifetime of a token whose session lasts at least as long.</summary>
    public TimeSpan Lifetime { get; } = TimeSpan.FromSeconds(settings.Value.AccessTokenSeconds);

    /// <summary>Issues a token of a user's session. It is valid for <paramref name="lifetime"/>, rounded down to whole seconds.</summary>
    /// <param name="roles">The user's roles.</param>
    /// <param name="rolesAt">The time of PostgreSQL's clock at which the user had them.</param>
    public string Issue(Guid session, Guid user, CallerRoles roles, DateTime rolesAt, TimeSpan lifetime)
    {
        var content = new byte[Length];
        content[0] = Version;
        session.TryWriteBytes(content.AsSpan(1), bigEndian: true, out _);
        user.TryWriteBytes(content.AsSpan(17), bigEndian: true, out _);
        content[33] = (byte)roles;
        BinaryPrimitives.WriteInt64BigEndian(content.AsSpan(34), rolesAt.Ticks);
        BinaryPrimitives.WriteInt64BigEndian(content.AsSpan(42), (clock.GetUtcNow() + lifetime).ToUnixTimeSeconds());
        return Base64Url.EncodeToString(_protector.Protect(content));
    }

    /// <summary>The caller that a token names; null unless the token is genuine and not expired and its session is not revoked.</summary>
    /// <exception cref="TimeoutException">The revocations are too old, because PostgreSQL does not answer.</exception>
    /// <exception cref="CryptographicException">The keys cannot be read, because PostgreSQL does not answer.</exception>
    public AuthenticationTicket? Read(string token)
    {
        if (_cache.Find(token) is not { } known)
        {
            if (Decrypt(token) is not { } decrypted)
                return null;
            known = decrypted;
            if (known.ExpiresAt > clock.GetUtcNow())
                _cache.Add(token, known);
        }
        return known.ExpiresAt <= clock.GetUtcNow() ? null : known.TicketNow(revocations);
    }

    private ReadToken? Decrypt(string token)
    {
        if (token.Length > MaxLength)
            return null;
        byte[] content;
        try
        {
            content = _protector.Unprotect(Base64Url.DecodeFromChars(token));
        }
        catch (Exception e) when (e is FormatException || (e is CryptographicException && !ExceptionProblems.IsOutage(e)))
        {
            return null;
        }
        if (content.Length != Length || content[0] != Version)
            return null;

        var session = new Guid(content.AsSpan(1, 16), bigEndian: true);
        var caller = new Caller(new Guid(content.AsSpan(17, 16), bigEndian: true), session, (CallerRoles)content[33]);
        return new ReadToken(
            caller,
            new DateTime(BinaryPrimitives.ReadInt64BigEndian(content.AsSpan(34)), DateTimeKind.Utc),
            DateTimeOffset.FromUnixTimeSeconds(BinaryPrimitives.ReadInt64BigEndian(content.AsSpan(42))));
    }
}

/// <summary>The content of a genuine token of a session.</summary>
/// <param name="RolesAt">The time of PostgreSQL's clock at which the caller had its roles.</param>
internal sealed record ReadToken(Caller Caller, DateTime RolesAt, DateTimeOffset ExpiresAt)
{
    private readonly AuthenticationTicket _ticket = TicketOf(Caller);

    /// <summary>The caller as the framework takes it, with the roles that it still has; null if the session was revoked.</summary>
    /// <exception cref="TimeoutException">The revocations are too old, because PostgreSQL does not answer.</exception>
    public AuthenticationTicket? TicketNow(Revocations revocations)
    {
        if (revocations.Contains(Caller.SessionId!.Value))
            return null;
        var roles = revocations.Remaining(Caller.Id, Caller.Roles, RolesAt);
        return roles == Caller.Roles ? _ticket : TicketOf(new Caller(Caller.Id, Caller.SessionId.Value, roles, Caller.Scopes));
    }

    private static AuthenticationTicket TicketOf(Caller caller) => new(new ClaimsPrincipal(caller), Caller.AuthenticationScheme);
}
