using System.Diagnostics;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Ledger.Api.Errors;

/// <summary>An answer that is an error: RFC 9457 with a stable <c>code</c>, on which clients may rely.</summary>
public static class Problem
{
    public static ProblemHttpResult Of(HttpContext context, int status, string? code, string detail, params ReadOnlySpan<(string Name, object? Value)> fields)
    {
        var problem = new ProblemDetails { Status = status, Detail = detail };
        foreach (var (name, value) in fields)
            problem.Extensions[name] = value;
        Complete(context, problem, code);
        return TypedResults.Problem(problem);
    }

    /// <summary>What a status says that nobody has explained, whatever the client accepts.</summary>
    public static ProblemHttpResult OfStatus(HttpContext context)
    {
        var problem = new ProblemDetails { Status = context.Response.StatusCode };
        Complete(context, problem);
        return TypedResults.Problem(problem);
    }

    /// <summary>The body or the query has fields that cannot be used.</summary>
    public static ProblemHttpResult Invalid(HttpContext context, IReadOnlyDictionary<string, string[]> errors, string code = "validation_failed") =>
        Of(context, StatusCodes.Status400BadRequest, code, "The request has fields that cannot be used.", ("errors", errors));

    public static ProblemHttpResult NotFound(HttpContext context) =>
        Of(context, StatusCodes.Status404NotFound, "not_found", "There is nothing here that you may see.");

    /// <summary>Adds what every problem has, unless it is complete already.</summary>
    public static void Complete(HttpContext context, ProblemDetails problem, string? code = null)
    {
        // The framework's own writer puts another form of it in each time.
        problem.Extensions["traceId"] = Activity.Current?.TraceId.ToHexString() ?? context.TraceIdentifier;
        if (problem.Extensions.ContainsKey("code"))
            return;
        var status = problem.Status ?? context.Response.StatusCode;
        code ??= CodeOf(context, status);
        problem.Type = TypeOf(code);
        problem.Title = TitleOf(code);
        problem.Detail ??= DetailOf(code);
        // As it was asked for: routing has taken the prefix, if there is one, from the path.
        problem.Instance = context.Request.PathBase + context.Request.Path;
        problem.Extensions["code"] = code;
        if (status == StatusCodes.Status503ServiceUnavailable && context.Response.Headers.RetryAfter.Count == 0)
            context.Response.Headers.RetryAfter = "1";
        // RFC 9110, section 15.5.2: every 401 says how to do better, also where it was a password that was wrong.
        if (status == StatusCodes.Status401Unauthorized && context.Response.Headers.WWWAuthenticate.Count == 0)
            context.Response.Headers.WWWAuthenticate = "Bearer";
    }

    public static string TypeOf(string code) => $"urn:ledger:problem:{code}";

    // A code in words: what RFC 9457 asks of a title is that it does not change from occurrence to occurrence.
    public static string TitleOf(string code) => string.Concat(code[..1].ToUpperInvariant(), code.AsSpan(1)).Replace('_', ' ');

    private static string CodeOf(HttpContext context, int status) => status switch
    {
        400 => "validation_failed",
        401 => context.Request.Headers.Authorization.Count == 0 ? "unauthenticated" : "invalid_token",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        408 => "request_timeout",
        413 => "body_too_large",
        415 => "unsupported_media_type",
        429 => "rate_limited",
        503 => "unavailable",
        _ => status < 500 ? "bad_request" : "internal_error",
    };

    // What no handler had a chance to explain.
    private static string DetailOf(string code) => code switch
    {
        "unauthenticated" => "Log in, and send the access token as a bearer token.",
        "invalid_token" => "The token is not one of this ledger, has expired, or its session has ended: log in again.",
        "forbidden" => "This takes a permission that the caller does not have.",
        "not_found" => "There is nothing here that you may see.",
        "method_not_allowed" => "This address does not take requests of this method.",
        "body_too_large" => "The body is larger than the server takes.",
        "unsupported_media_type" => "The body must be JSON, sent as application/json.",
        "unavailable" => "Something that this needs is away. Nothing was promised: try again, with the same key.",
        _ => "The request could not be handled.",
    };
}
