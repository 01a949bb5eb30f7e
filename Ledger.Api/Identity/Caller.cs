using System.Security.Claims;

namespace Ledger.Api.Identity;

/// <summary>The authenticated user of a request.</summary>
public static class Caller
{
    /// <summary>The caller's id. Behind authorization there always is one.</summary>
    public static Guid UserId(this ClaimsPrincipal user) => Guid.ParseExact(user.FindFirstValue(ClaimTypes.NameIdentifier)!, "D");
}
