using Microsoft.AspNetCore.Identity;

namespace Ledger.Core.Identity;

/// <summary>Somebody who can own accounts. The user name is the e-mail address.</summary>
public sealed class User : IdentityUser<Guid>
{
    /// <summary>When the user registered, UTC.</summary>
    public DateTime CreatedAt { get; init; }
}

/// <summary>What a user may be beside a user. Every user may move and see the money of its own accounts.</summary>
public static class Roles
{
    /// <summary>Acts on behalf of users and administers.</summary>
    public const string Operator = "operator";
    /// <summary>Reads everything, changes nothing.</summary>
    public const string Auditor = "auditor";
}
