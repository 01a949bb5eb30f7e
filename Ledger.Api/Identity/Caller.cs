using System.Security.Claims;
using Ledger.Core.Identity;

namespace Ledger.Api.Identity;

/// <summary>The authenticated caller of a request: a user with a session, or a service account.</summary>
public sealed class Caller : ClaimsIdentity
{
    /// <summary>A user.</summary>
    public Caller(Guid id, Guid sessionId, CallerRoles roles, CallerScopes scopes = CallerScopes.All)
        : this(id, scopes)
    {
        SessionId = sessionId;
        Roles = roles;
        AddClaim(new Claim(ClaimTypes.Sid, sessionId.ToString()));
        foreach (var role in roles.Names())
            AddClaim(new Claim(ClaimTypes.Role, role));
    }

    /// <summary>A service account.</summary>
    public Caller(Guid id, CallerScopes scopes)
        : base(AuthenticationScheme)
    {
        Id = id;
        Scopes = scopes;
        AddClaim(new Claim(ClaimTypes.NameIdentifier, id.ToString()));
    }

    /// <summary>The only authentication scheme: <c>Authorization: Bearer …</c>, with an access token or an API key.</summary>
    public const string AuthenticationScheme = "Bearer";

    /// <summary>The id of the user or of the service account.</summary>
    public Guid Id { get; }

    /// <summary>The session of the access token; null for a service account.</summary>
    public Guid? SessionId { get; }

    /// <summary>The roles of a user; a service account has none.</summary>
    public CallerRoles Roles { get; }

    /// <summary>What the credential allows. Only service accounts and tokens of an external provider are limited.</summary>
    public CallerScopes Scopes { get; }

    /// <summary>Whether the caller is a user, who can own accounts.</summary>
    public bool IsUser => SessionId is not null;

    public bool IsOperator => Roles.HasFlag(CallerRoles.Operator);

    /// <summary>Whether the caller may read other users' data.</summary>
    public bool ReadsForOthers => (!IsUser || Roles != CallerRoles.None) && Scopes.HasFlag(CallerScopes.Read);

    /// <summary>Whether the caller may move other users' money.</summary>
    public bool MovesForOthers => (!IsUser || IsOperator) && Scopes.HasFlag(CallerScopes.Transactions);
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

/// <summary>What the credential of a caller allows. Of users, roles decide as well.</summary>
[Flags]
public enum CallerScopes
{
    None = 0,
    /// <summary><see cref="Core.Identity.Scopes.Read"/>.</summary>
    Read = 1,
    /// <summary><see cref="Core.Identity.Scopes.Users"/>.</summary>
    Users = 2,
    /// <summary><see cref="Core.Identity.Scopes.Transactions"/>.</summary>
    Transactions = 4,
    /// <summary><see cref="Core.Identity.Scopes.Webhooks"/>.</summary>
    Webhooks = 8,
    /// <summary><see cref="Core.Identity.Scopes.Admin"/>.</summary>
    Admin = 16,
    /// <summary>The credential is not limited.</summary>
    All = Read | Users | Transactions | Webhooks | Admin,
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

    /// <summary>The scopes with these names. An unknown name grants nothing.</summary>
    public static CallerScopes ParseScopes(IEnumerable<string> names)
    {
        var scopes = CallerScopes.None;
        foreach (var name in names)
        {
            scopes |= name switch
            {
                Scopes.Read => CallerScopes.Read,
                Scopes.Users => CallerScopes.Users,
                Scopes.Transactions => CallerScopes.Transactions,
                Scopes.Webhooks => CallerScopes.Webhooks,
                Scopes.Admin => CallerScopes.Admin,
                _ => CallerScopes.None,
            };
        }
        return scopes;
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
