using System.Globalization;
using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;

namespace Ledger.Api.Oidc;

/// <summary>
/// Access tokens of the provider. Each token of a user is a session in the ledger, so that a freeze, a closure and a logout end it as
/// they end the ledger's own sessions.
/// </summary>
internal sealed class ExternalTokens(
    ProviderKeys keys, ExternalUsers users, ExternalServices services, Revocations revocations, AccessTokens own, TimeProvider clock, IOptions<OidcSettings> settings)
{
    // OpenID Connect Core, section 2: a subject has at most 255 characters.
    private const int MaxSubject = 255;

    private readonly OidcSettings _settings = settings.Value;
    private readonly TokenCache<KnownToken> _cache = new();

    /// <summary>The caller that a token names, or why there is none.</summary>
    /// <exception cref="TimeoutException">PostgreSQL does not answer, or the provider has not answered since the process started.</exception>
    public async ValueTask<ExternalLogin> ReadAsync(HttpContext context, string token)
    {
        var current = await keys.CurrentAsync(context.RequestAborted);
        // A token is checked again when the keys were read again: its key may be withdrawn.
        if (_cache.Find(token) is { } known && ReferenceEquals(known.CheckedWith, current) && known.ExpiresAt > clock.GetUtcNow())
        {
            return known.User is { } user
                ? new ExternalLogin(user.TicketNow(revocations))
                : await services.FindAsync(known.Service!, known.Scopes, context.RequestAborted);
        }

        var checkedToken = await context.AuthenticateAsync(OidcSetup.Scheme);
        if (!checkedToken.Succeeded || checkedToken.Properties?.ExpiresUtc + OidcSetup.ClockSkew is not { } endsAt)
            return ExternalLogin.Invalid;
        var scopes = _settings.ScopesClaim.Length == 0
            ? CallerScopes.All
            : CallerExtensions.ParseScopes(Words(checkedToken.Principal, _settings.ScopesClaim));
        if (ServiceOf(checkedToken.Principal) is { } service)
        {
            _cache.Add(token, new KnownToken(null, service, scopes, endsAt, current));
            return await services.FindAsync(service, scopes, context.RequestAborted);
        }
        if (ClaimsOf(checkedToken.Principal, token, endsAt) is not { } claims)
            return ExternalLogin.Invalid;

        var (opened, refusal) = await users.OpenAsync(context, claims);
        if (opened is not { } session)
            return new ExternalLogin(null, refusal);
        var caller = new Caller(session.User, claims.Session, claims.Roles is { } given ? given & session.Roles : session.Roles, scopes);
        // Revocations are in memory as long as the ledger's own tokens live, so the session is read again after that.
        var expiresAt = clock.GetUtcNow() + own.Lifetime;
        if (endsAt < expiresAt)
            expiresAt = endsAt;
        var read = new ReadToken(caller, session.RolesAt, expiresAt);
        _cache.Add(token, new KnownToken(read, null, scopes, expiresAt, current));
        return new ExternalLogin(read.TicketNow(revocations));
    }

    // The id or name of the service account of a client's token; null for a token of a user.
    private string? ServiceOf(ClaimsPrincipal principal) => _settings.ServiceClaim switch
    {
        "" => null,
        // Tokens of users have these claims too.
        OidcSettings.ClientId or OidcSettings.AuthorizedParty when !IsOfClient(principal) => null,
        var claim => principal.FindFirstValue(claim),
    };

    // RFC 9068, section 2.2: the subject of a client without a user is the client.
    private static bool IsOfClient(ClaimsPrincipal principal) =>
        principal.FindFirstValue("sub") is { } subject
        && subject == (principal.FindFirstValue(OidcSettings.ClientId) ?? principal.FindFirstValue(OidcSettings.AuthorizedParty));

    private ExternalClaims? ClaimsOf(ClaimsPrincipal principal, string token, DateTimeOffset endsAt)
    {
        if (principal.FindFirstValue("iss") is not { } issuer
            || principal.FindFirstValue(_settings.UserClaim) is not { Length: > 0 and <= MaxSubject } subject || !Sent.IsText(subject))
            return null;

        // Of two tokens with different roles the newer one is right (RFC 9068, section 2.2, requires the claim).
        var issuedAt = long.TryParse(principal.FindFirstValue("iat"), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
            && seconds <= DateTimeOffset.MaxValue.ToUnixTimeSeconds() ? DateTimeOffset.FromUnixTimeSeconds(seconds) : (DateTimeOffset?)null;
        if (_settings.RolesClaim.Length > 0 && (issuedAt is null || issuedAt > clock.GetUtcNow() + OidcSetup.ClockSkew))
            return null;

        return new ExternalClaims(
            issuer, subject, SessionOf(token), issuedAt ?? default, endsAt,
            _settings.RolesClaim.Length == 0 ? null : CallerExtensions.Parse(Words(principal, _settings.RolesClaim)),
            string.Equals(principal.FindFirstValue("email_verified"), "true", StringComparison.OrdinalIgnoreCase) ? principal.FindFirstValue("email") : null,
            IsOfClient(principal));
    }

    // A claim is a string with blanks between the words (RFC 8693, section 4.2) or an array of strings.
    private static IEnumerable<string> Words(ClaimsPrincipal principal, string claim) =>
        principal.FindAll(claim).SelectMany(value => value.Value.Split(' ', StringSplitOptions.RemoveEmptyEntries));

    // The same at every API process. Of the signed part alone: a signature can be written in several ways.
    private static Guid SessionOf(string token) =>
        new(SHA256.HashData(Encoding.UTF8.GetBytes(token[..token.LastIndexOf('.')])).AsSpan(0, 16), bigEndian: true);

    /// <param name="User">The token of a user; null for one of a service account.</param>
    /// <param name="Service">The id or name of the service account.</param>
    /// <param name="CheckedWith">The provider's keys that the token was checked with.</param>
    private sealed record KnownToken(
        ReadToken? User, string? Service, CallerScopes Scopes, DateTimeOffset ExpiresAt, OpenIdConnectConfiguration CheckedWith);
}

/// <summary>What a valid token says of its user.</summary>
/// <param name="Session">The id of the token as a session of the ledger.</param>
/// <param name="ExpiresAt">When the token is refused.</param>
/// <param name="Roles">Null if the provider gives no roles.</param>
/// <param name="VerifiedEmail">As the provider writes it; null unless the provider verified it.</param>
/// <param name="IsClient">Whether the token was issued to a client without a user.</param>
internal sealed record ExternalClaims(
    string Issuer, string Subject, Guid Session, DateTimeOffset IssuedAt, DateTimeOffset ExpiresAt, CallerRoles? Roles, string? VerifiedEmail,
    bool IsClient);

/// <summary>A user's session that an external token has opened.</summary>
/// <param name="RolesAt">The time of PostgreSQL's clock at which the user had the roles.</param>
internal sealed record ExternalSession(Guid User, CallerRoles Roles, DateTime RolesAt);

/// <summary>What became of a token: a caller, or a refusal. Without both the token is invalid, or its session has ended.</summary>
/// <param name="Forbidden">Why a valid token is refused.</param>
internal sealed record ExternalLogin(AuthenticationTicket? Ticket, string? Forbidden = null)
{
    public static ExternalLogin Invalid { get; } = new(Ticket: null);
}
