using System.Diagnostics;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Ledger.Api.Errors;

/// <summary>Problem details (RFC 9457) with a stable <c>code</c> that clients rely on.</summary>
public static class Problem
{
    internal const string Unavailable = "The ledger is temporarily unavailable. It is safe to retry with the same Idempotency-Key.";

    public static ProblemHttpResult Of(HttpContext context, int status, string? code, string detail, params ReadOnlySpan<(string Name, object? Value)> fields)
    {
        var problem = new ProblemDetails { Status = status, Detail = detail };
        foreach (var (name, value) in fields)
            problem.Extensions[name] = value;
        Complete(context, problem, code);
        return TypedResults.Problem(problem);
    }

    /// <summary>The problem of a response that has a status and no body yet.</summary>
    public static ProblemHttpResult OfStatus(HttpContext context)
    {
        var problem = new ProblemDetails { Status = context.Response.StatusCode };
        Complete(context, problem);
        return TypedResults.Problem(problem);
    }

    /// <summary>The problem of invalid fields in a body, a query or a header.</summary>
    /// <param name="errors">The errors of each field.</param>
    public static ProblemHttpResult Invalid(HttpContext context, IReadOnlyDictionary<string, string[]> errors, string code = "validation_failed") =>
        Of(context, StatusCodes.Status400BadRequest, code, "The request has invalid fields.", ("errors", errors));

    public static ProblemHttpResult NotFound(HttpContext context) =>
        Of(context, StatusCodes.Status404NotFound, "not_found", "The resource does not exist, or the caller may not see it.");

    /// <summary>Fills in the fields that every problem has, unless the problem is complete already.</summary>
    public static void Complete(HttpContext context, ProblemDetails problem, string? code = null)
    {
        // Always set: the framework overwrites it with a trace id in another form.
        problem.Extensions["traceId"] = Activity.Current?.TraceId.ToHexString() ?? context.TraceIdentifier;
        if (problem.Extensions.ContainsKey("code"))
            return;
        var status = problem.Status ?? context.Response.StatusCode;
        code ??= CodeOf(context, status);
        problem.Type = TypeOf(code);
        problem.Title = TitleOf(code);
        problem.Detail ??= DetailOf(code);
        // With the path prefix, which routing has removed from the path.
        problem.Instance = context.Request.PathBase + context.Request.Path;
        problem.Extensions["code"] = code;
        if (status == StatusCodes.Status503ServiceUnavailable && context.Response.Headers.RetryAfter.Count == 0)
            context.Response.Headers.RetryAfter = "1";
        // RFC 9110, section 15.5.2: every 401 has a challenge, including one for a wrong password.
        if (status == StatusCodes.Status401Unauthorized && context.Response.Headers.WWWAuthenticate.Count == 0)
            context.Response.Headers.WWWAuthenticate = "Bearer";
    }

    public static string TypeOf(string code) => $"urn:ledger:problem:{code}";

    // RFC 9457: the title of a problem type is the same in every occurrence.
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

    // The details of problems that no handler wrote.
    private static string DetailOf(string code) => code switch
    {
        "unauthenticated" => "Send an access token as a bearer token; POST /api/v1/identity/login returns one.",
        "invalid_token" => "The token is invalid or expired, or its session has ended: log in again. An API key may also be revoked, or its service account closed.",
        "forbidden" => "The caller does not have the permission for this request.",
        "not_found" => "The resource does not exist, or the caller may not see it.",
        "method_not_allowed" => "The resource does not support this method.",
        "body_too_large" => "The body is too large.",
        "unsupported_media_type" => "The body must be JSON, sent as application/json.",
        "unavailable" => Unavailable,
        _ => "The request failed.",
    };
}
