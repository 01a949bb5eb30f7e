using Scalar.AspNetCore;

namespace Ledger.Api.OpenApi;

/// <summary>The API explorer at <c>/scalar</c>, with the package's own copy of Scalar's script.</summary>
public static class ScalarPage
{
    public static void MapScalar(this IEndpointRouteBuilder routes) => routes
        .MapScalarApiReference("/scalar", options =>
        {
            options.Title = "Ledger API";
            options.OpenApiRoutePattern = "/openapi/v1.json";
            options.Authentication = new ScalarAuthenticationOptions { PreferredSecuritySchemes = ["bearer"] };
            // The page loads nothing from other hosts and sends nothing to them.
            options.DefaultFonts = false;
            options.Telemetry = false;
            options.Agent = new ScalarAgentOptions { Disabled = true };
            options.Mcp = new ScalarMcpOptions { Disabled = true };
            options.ShowDeveloperTools = DeveloperToolsVisibility.Never;
            options.HideClientButton = true;
            options.SchemaPropertyOrder = PropertyOrder.Preserve;
            options.DynamicNonce = true;
        })
        .AllowAnonymous()
        .AddEndpointFilter(async (invocation, next) =>
        {
            // The page has inline scripts, with a nonce that the package creates per page.
            var page = await next(invocation);
            if (invocation.HttpContext.Items[ScalarOptions.NonceHttpContextItemKey] is string nonce)
                invocation.HttpContext.Response.Headers.ContentSecurityPolicy = ContentSecurityPolicy(nonce);
            return page;
        });

    // Scalar needs inline styles, and icons from data URIs.
    private static string ContentSecurityPolicy(string nonce) =>
        $"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'unsafe-inline'; img-src 'self' data:; "
        + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
}
