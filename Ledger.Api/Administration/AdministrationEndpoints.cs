using Ledger.Api.Http;
using Ledger.Api.Identity;

namespace Ledger.Api.Administration;

/// <summary>What operators do, and auditors read.</summary>
public static class AdministrationEndpoints
{
    public static void MapAdministration(this IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/admin").RequireRateLimiting(RateLimits.PerUser).WithTags("Administration")
            .ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status403Forbidden)
            .ProducesProblem(StatusCodes.Status429TooManyRequests);
        var reading = group.MapGroup("").RequireAuthorization(Policies.Staff);
        var acting = group.MapGroup("").RequireAuthorization(Policies.Operator);

        reading.MapUsers();
        acting.MapFreezing();
        acting.MapCurrencyAdministration();
        reading.MapAudit();
        reading.MapVerification();
    }
}
