using Ledger.Api.Identity;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.AspNetCore.Routing;

namespace Ledger.Tests.Identity;

/// <summary>Every route of the API has a decision about its callers.</summary>
public sealed class RouteTests
{
    private static readonly string[] Public =
    [
        "/alive", "/api/v1/currencies", "/api/v1/identity/login", "/api/v1/identity/refresh", "/api/v1/identity/register", "/health", "/live",
        "/openapi/{documentName}.json", "/ready",
    ];

    [Fact]
    public void Every_route_has_a_policy_or_is_explicitly_public()
    {
        foreach (var route in Routes())
        {
            var isPublic = route.Metadata.GetMetadata<IAllowAnonymous>() is not null;
            var policies = route.Metadata.GetOrderedMetadata<IAuthorizeData>().Select(data => data.Policy).ToList();
            Assert.True(isPublic || (policies.Count > 0 && policies.All(policy => policy is not null)), $"{route.RoutePattern.RawText} names no policy.");
            Assert.False(isPublic && policies.Count > 0, $"{route.RoutePattern.RawText} is public and has a policy.");
        }
    }

    [Fact]
    public void Public_routes_are_the_listed_ones()
    {
        var open = Routes().Where(route => route.Metadata.GetMetadata<IAllowAnonymous>() is not null).Select(route => route.RoutePattern.RawText!)
            .Where(path => !path.StartsWith("/scalar", StringComparison.Ordinal));
        Assert.Equal(Public, open.Distinct().Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_route_of_the_API_has_a_rate_limit()
    {
        foreach (var route in Routes().Where(route => route.RoutePattern.RawText!.StartsWith("/api", StringComparison.Ordinal)))
        {
            // The list of currencies comes from memory and needs no limit.
            if (route.RoutePattern.RawText != "/api/v1/currencies")
                Assert.True(route.Metadata.GetMetadata<EnableRateLimitingAttribute>() is not null, $"{route.RoutePattern.RawText} has no rate limit.");
        }
    }

    [Fact]
    public void Token_without_scopes_is_allowed_its_own_login_only()
    {
        var caller = new Caller(Guid.NewGuid(), Guid.NewGuid(), CallerRoles.Operator, CallerScopes.None);
        var open = Routes().Where(route => route.Metadata.GetMetadata<IAllowAnonymous>() is null && Policies.MissingScopes(caller, route).Count == 0);
        Assert.Equal(["/api/v1/identity/logout", "/api/v1/identity/me", "/api/v1/identity/password"], open.Select(route => route.RoutePattern.RawText!).Distinct().Order(StringComparer.Ordinal));
    }

    // Of the application as it is built, without starting it.
    private static List<RouteEndpoint> Routes()
    {
        var app = Ledger.Api.Application.Build(
        [
            "--ConnectionStrings:ledgerdb=Host=127.0.0.1;Port=1;Username=nobody", "--ConnectionStrings:messaging=amqp://127.0.0.1:1", "--Ledger:Metrics:Port=0",
        ]);
        var routes = ((IEndpointRouteBuilder)app).DataSources.SelectMany(source => source.Endpoints).OfType<RouteEndpoint>().ToList();
        Assert.True(routes.Count > 20);
        return routes;
    }
}
