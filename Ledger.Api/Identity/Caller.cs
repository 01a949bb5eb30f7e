using System.Security.Claims;
using Ledger.Core.Identity;

namespace Ledger.Api.Identity;

/// <summary>Who a request comes from: a user, by a session, or a server, by an API key.</summary>
public sealed class Caller : ClaimsIdentity
{
    /// <param name="sessionId">Null for an API key.</param>
    public Caller(Guid id, Guid? sessionId, CallerRoles roles)
        : base(AuthenticationScheme)
    {
        Id = id;
        SessionId = sessionId;
        Roles = roles;
        AddClaim(new Claim(ClaimTypes.NameIdentifier, id.ToString()));
        if (sessionId is { } session)
            AddClaim(new Claim(ClaimTypes.Sid, session.ToString()));
        foreach (var role in roles.Names())
            AddClaim(new Claim(ClaimTypes.Role, role));
    }

    /// <summary>The name of the one way to authenticate: <c>Authorization: Bearer …</c>, with an access token or an API key.</summary>
    public const string AuthenticationScheme = "Bearer";

    /// <summary>The user's id, or the API key's.</summary>
    public Guid Id { get; }

    /// <summary>The session that the access token belongs to; null for an API key.</summary>
    public Guid? SessionId { get; }

    public CallerRoles Roles { get; }

    /// <summary>Whether this is somebody who can own accounts.</summary>
    public bool IsUser => SessionId is not null;

    public bool IsOperator => Roles.HasFlag(CallerRoles.Operator);
}

/// <summary>What a caller may be beside a user, as access tokens carry it.</summary>
[Flags]
public enum CallerRoles : byte
{
    None = 0,
    /// <summary><see cref="Core.Identity.Roles.Operator"/>.</summary>
    Operator = 1,
    /// <summary><see cref="Core.Identity.Roles.Auditor"/>.</summary>
    Auditor = 2,
}

public static class CallerExtensions
{
    /// <summary>The caller of a request. Behind authorization there always is one.</summary>
    public static Caller Caller(this HttpContext context) =>
        context.User.Identity as Caller ?? throw new InvalidOperationException("This endpoint is open to callers who are nobody.");

    /// <summary>The roles by name, in order.</summary>
    public static IEnumerable<string> Names(this CallerRoles roles)
    {
        if (roles.HasFlag(CallerRoles.Auditor))
            yield return Roles.Auditor;
        if (roles.HasFlag(CallerRoles.Operator))
            yield return Roles.Operator;
    }

    /// <summary>The roles that the database names; one that this version does not know gives no right.</summary>
    public static CallerRoles Parse(IEnumerable<string> names)
    {
        var roles = CallerRoles.None;
        foreach (var name in names)
        {
            roles |= name switch
            {
                Roles.Operator => CallerRoles.Operator,
                Roles.Auditor => CallerRoles.Auditor,
                _ => CallerRoles.None,
            };
        }
        return roles;
    }
}
