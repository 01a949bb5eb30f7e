using Ledger.Api.Limits;

namespace Ledger.Api.Identity;

/// <summary>What all endpoints for operators and auditors have in common.</summary>
public static class Administration
{
    /// <summary>A group of endpoints below <c>/admin</c>.</summary>
    /// <param name="policy">One of <see cref="Policies"/>.</param>
    public static RouteGroupBuilder MapAdministration(this IEndpointRouteBuilder routes, string policy) => routes
        .MapGroup("/admin").RequireAuthorization(policy).RequireRateLimiting(RateLimits.PerUser).WithTags("Administration")
        .ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status403Forbidden)
        .ProducesProblem(StatusCodes.Status429TooManyRequests);
}
