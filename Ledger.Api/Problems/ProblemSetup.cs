using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http.Json;
using Microsoft.Net.Http.Headers;

namespace Ledger.Api.Problems;

/// <summary>Bodies in, bodies out, and problems wherever something is wrong.</summary>
public static class ProblemSetup
{
    private const string Utf8 = "utf-8";

    public static void AddJsonAndProblems(this IHostApplicationBuilder builder)
    {
        builder.Services.AddOptions<JsonOptions>().Configure(options =>
        {
            options.SerializerOptions.TypeInfoResolverChain.Insert(0, ApiJson.Default);
            options.SerializerOptions.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
            options.SerializerOptions.AllowDuplicateProperties = false;
            options.SerializerOptions.MaxDepth = 32;
        });
        // A body that cannot be read is an exception here, in every environment, so that it leaves as a problem with a code.
        builder.Services.Configure<RouteHandlerOptions>(options => options.ThrowOnBadRequest = true);
        builder.Services.AddProblemDetails(options => options.CustomizeProblemDetails = problem => Problem.Complete(problem.HttpContext, problem.ProblemDetails));
        builder.Services.AddExceptionHandler<ExceptionProblems>();
    }

    /// <summary>
    /// <c>charset="utf-8"</c> means the same as without the quotes (RFC 9110, section 5.6.6); the framework looks for an encoding of
    /// the name with them.
    /// </summary>
    public static void UseQuotedCharsets(this WebApplication app) => app.Use(next => context =>
    {
        if (context.Request.ContentType?.Contains('"') == true
            && MediaTypeHeaderValue.TryParse(context.Request.ContentType, out var type) && type.Charset.HasValue
            && HeaderUtilities.UnescapeAsQuotedString(type.Charset).Equals(Utf8, StringComparison.OrdinalIgnoreCase))
        {
            type.Charset = Utf8;
            context.Request.ContentType = type.ToString();
        }
        return next(context);
    });
}
