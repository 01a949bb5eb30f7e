using System.Security.Claims;
using Ledger.Core.Identity;

namespace Ledger.Api.Identity;

/// <summary>The authenticated caller of a request: a user with a session, or a server with an API key.</summary>
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

    /// <summary>The only authentication scheme: <c>Authorization: Bearer …</c>, with an access token or an API key.</summary>
    public const string AuthenticationScheme = "Bearer";

    /// <summary>The id of the user or of the API key.</summary>
    public Guid Id { get; }

    /// <summary>The session of the access token; null for an API key.</summary>
    public Guid? SessionId { get; }

    public CallerRoles Roles { get; }

    /// <summary>Whether the caller is a user, who can own accounts.</summary>
    public bool IsUser => SessionId is not null;

    public bool IsOperator => Roles.HasFlag(CallerRoles.Operator);
}

/// <summary>The roles of a caller, as access tokens encode them.</summary>
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
    /// <summary>The caller of a request. After authorization there always is one.</summary>
    public static Caller Caller(this HttpContext context) =>
        context.User.Identity as Caller ?? throw new InvalidOperationException("The request has no authenticated caller: the endpoint allows anonymous requests.");

    /// <summary>The names of the roles, in alphabetical order.</summary>
    public static IEnumerable<string> Names(this CallerRoles roles)
    {
        if (roles.HasFlag(CallerRoles.Auditor))
            yield return Roles.Auditor;
        if (roles.HasFlag(CallerRoles.Operator))
            yield return Roles.Operator;
    }

    /// <summary>The roles with these names. An unknown name grants nothing.</summary>
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
