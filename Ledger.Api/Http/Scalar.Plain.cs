using System.Text.Encodings.Web;
using System.Text.Json;

namespace Ledger.Api.Http;

/// <summary>The API explorer at <c>/scalar</c>: Scalar's own script, which the build fetched from npm, served from here.</summary>
public static class ScalarPage
{
    // What Scalar needs, and from nowhere else: it writes its style sheets into the page, and draws icons from data URIs.
    private const string ContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src 'self' data:; "
        + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private static readonly string s_script = Path.Combine(AppContext.BaseDirectory, "scalar", "standalone.js");

    public static void MapScalar(this IEndpointRouteBuilder routes)
    {
        var scalar = routes.MapGroup("/scalar").AllowAnonymous().ExcludeFromDescription();
        scalar.MapGet("", (HttpContext context) =>
        {
            context.Response.Headers.ContentSecurityPolicy = ContentSecurityPolicy;
            context.Response.Headers.XContentTypeOptions = "nosniff";
            return TypedResults.Text(File.Exists(s_script) ? Page(context.Request.PathBase) : PageWithoutScript, "text/html; charset=utf-8");
        });
        scalar.MapGet("/standalone.js", (HttpContext context) =>
        {
            // Asked for anew each time, answered with 304 mostly: an update of Ledger is one of the script too.
            context.Response.Headers.CacheControl = "no-cache";
            return File.Exists(s_script)
                ? Results.File(s_script, "text/javascript; charset=utf-8", lastModified: File.GetLastWriteTimeUtc(s_script))
                : Results.NotFound();
        });
    }

    private static string Page(string pathBase)
    {
        var configuration = JsonSerializer.Serialize(new
        {
            url = $"{pathBase}/openapi/v1.json",
            authentication = new { preferredSecurityScheme = "bearer" },
            // Nothing of what is typed here goes elsewhere, and nothing comes from there.
            withDefaultFonts = false,
            telemetry = false,
            agent = new { disabled = true },
            mcp = new { disabled = true },
            showDeveloperTools = "never",
            hideClientButton = true,
            orderSchemaPropertiesBy = "preserve",
        });
        return $"""
            <!doctype html>
            <html lang="en">
            <head>
              <meta charset="utf-8">
              <meta name="viewport" content="width=device-width, initial-scale=1">
              <title>Ledger API</title>
              <link rel="icon" href="data:,">
            </head>
            <body>
              <script id="api-reference" data-configuration="{HtmlEncoder.Default.Encode(configuration)}"></script>
              <script src="{HtmlEncoder.Default.Encode(pathBase)}/scalar/standalone.js"></script>
            </body>
            </html>
            """;
    }

    private const string PageWithoutScript =
        """
        <!doctype html>
        <html lang="en">
        <head><meta charset="utf-8"><title>Ledger API</title><link rel="icon" href="data:,"></head>
        <body>
          <h1>Ledger API</h1>
          <p>The API explorer is not in this build: its script comes from npm, and could not be fetched when Ledger was built.
             Install Node.js with npm and build again; the build says what is missing.</p>
          <p>The API's description is at <a href="openapi/v1.json">openapi/v1.json</a>.</p>
        </body>
        </html>
        """;
}
