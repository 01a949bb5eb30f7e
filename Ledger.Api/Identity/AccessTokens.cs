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
/// A check needs no database: <see cref="RevokedSessions"/> has the revocations in memory.
/// </summary>
public sealed class AccessTokens(
    IDataProtectionProvider protection, RevokedSessions revoked, TimeProvider clock, IOptions<IdentitySettings> settings)
{
    // Version, session, user, roles, seconds since 1970.
    private const int Length = 1 + 16 + 16 + 1 + 8;
    private const byte Version = 1;

    // No valid token is longer, so longer ones are not decrypted.
    private const int MaxLength = 512;

    private readonly IDataProtector _protector = protection.CreateProtector("Ledger.AccessToken");
    private readonly TokenCache _cache = new();

    /// <summary>The lifetime of a token whose session lasts at least as long.</summary>
    public TimeSpan Lifetime { get; } = TimeSpan.FromSeconds(settings.Value.AccessTokenSeconds);

    /// <summary>Issues a token of a user's session. It is valid for <paramref name="lifetime"/>, rounded down to whole seconds.</summary>
    public string Issue(Guid session, Guid user, CallerRoles roles, TimeSpan lifetime)
    {
        var content = new byte[Length];
        content[0] = Version;
        session.TryWriteBytes(content.AsSpan(1), bigEndian: true, out _);
        user.TryWriteBytes(content.AsSpan(17), bigEndian: true, out _);
        content[33] = (byte)roles;
        BinaryPrimitives.WriteInt64BigEndian(content.AsSpan(34), (clock.GetUtcNow() + lifetime).ToUnixTimeSeconds());
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
        return known.ExpiresAt > clock.GetUtcNow() && !revoked.Contains(known.SessionId) ? known.Ticket : null;
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
            session,
            DateTimeOffset.FromUnixTimeSeconds(BinaryPrimitives.ReadInt64BigEndian(content.AsSpan(34))),
            new AuthenticationTicket(new ClaimsPrincipal(caller), Caller.AuthenticationScheme));
    }
}

/// <summary>The content of a genuine token.</summary>
internal sealed record ReadToken(Guid SessionId, DateTimeOffset ExpiresAt, AuthenticationTicket Ticket);
