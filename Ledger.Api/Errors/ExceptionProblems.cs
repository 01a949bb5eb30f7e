using System.Text.Json;
using Ledger.Api.Transactions;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.Net.Http.Headers;
using Npgsql;

namespace Ledger.Api.Errors;

/// <summary>The one place where an exception becomes an answer.</summary>
public sealed partial class ExceptionProblems(ILogger<ExceptionProblems> logger) : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        var problem = exception switch
        {
            BadHttpRequestException { InnerException: JsonException json } => OfJson(httpContext, json),
            BadHttpRequestException { StatusCode: StatusCodes.Status400BadRequest } =>
                Problem.Of(httpContext, 400, "malformed_json", "The body is not the JSON object that it must be."),
            BadHttpRequestException bad => Problem.Of(httpContext, bad.StatusCode, null, bad.Message),
            // The framework reads JSON in any encoding that it knows, and takes one that it does not for a fault of the server.
            InvalidOperationException when HasUnknownCharset(httpContext.Request) => Problem.Of(
                httpContext, 415, "unsupported_media_type", "The body is in an encoding that is not known; JSON is UTF-8."),
            OperationCanceledException when httpContext.RequestAborted.IsCancellationRequested => null,
            _ when IsAway(exception) => Unavailable(httpContext, exception),
            _ => Unexpected(httpContext, exception),
        };
        if (problem is not null)
            await problem.ExecuteAsync(httpContext);
        return true;
    }

    /// <summary>Whether something that the API needs is away, and the request could fare better later.</summary>
    // Entity Framework and data protection wrap what the driver says; an error in a statement is ours and no outage. A server that only
    // reads is one from which another has taken over; one without our tables has not been migrated yet; one that ends a transaction in
    // which nothing happens (25P03) found this process standing still.
    internal static bool IsAway(Exception? exception) => exception switch
    {
        null => false,
        GatewayFullException or TimeoutException => true,
        PostgresException statement => statement.IsTransient
            || statement.SqlState[..2] is "08" or "28" or "3D" or "53" or "57" or "58"
            || statement.SqlState is PostgresErrorCodes.ReadOnlySqlTransaction or PostgresErrorCodes.UndefinedTable or "25P03",
        NpgsqlException => true,
        _ => IsAway(exception.InnerException),
    };

    // A body that is not JSON, against one that is but does not fit: the reader's own error is the inner one of the former.
    private static Microsoft.AspNetCore.Http.HttpResults.ProblemHttpResult OfJson(HttpContext context, JsonException json)
    {
        if (json.InnerException is not JsonException && json.Path is { } path && path.Length > 2)
        {
            return Problem.Invalid(context, new Dictionary<string, string[]>
            {
                [path[2..]] = ["This field is unknown, or its value is not of the type that it must have."],
            });
        }
        return Problem.Of(context, 400, "malformed_json", "The body is not the JSON object that it must be.");
    }

    private static bool HasUnknownCharset(HttpRequest request)
    {
        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || !type.Charset.HasValue)
            return false;
        try
        {
            return type.Encoding is null;
        }
        catch (NotSupportedException)
        {
            // UTF-7: known, and refused.
            return true;
        }
    }

    private Microsoft.AspNetCore.Http.HttpResults.ProblemHttpResult Unavailable(HttpContext context, Exception exception)
    {
        LogUnavailable(exception.Message);
        return Problem.Of(context, 503, "unavailable", "Something that this needs is away. Nothing was promised: try again, with the same key.");
    }

    private Microsoft.AspNetCore.Http.HttpResults.ProblemHttpResult Unexpected(HttpContext context, Exception exception)
    {
        LogUnexpected(exception, context.Request.Path);
        return Problem.Of(context, 500, "internal_error", "This is a fault of the server. Nothing was promised: try again, with the same key.");
    }

    [LoggerMessage(LogLevel.Warning, "Answered 503: {Reason}")]
    private partial void LogUnavailable(string reason);

    [LoggerMessage(LogLevel.Error, "Answered 500 on {Path}")]
    private partial void LogUnexpected(Exception exception, string path);
}
