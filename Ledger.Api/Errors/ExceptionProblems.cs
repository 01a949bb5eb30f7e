using System.Text.Json;
using Ledger.Api.Transactions;
using Ledger.Core.Persistence;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Net.Http.Headers;

namespace Ledger.Api.Errors;

/// <summary>Turns every exception of a request into a problem.</summary>
public sealed partial class ExceptionProblems(ILogger<ExceptionProblems> logger) : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        var problem = exception switch
        {
            BadHttpRequestException { InnerException: JsonException json } => JsonProblems.Of(httpContext, json),
            BadHttpRequestException { StatusCode: StatusCodes.Status400BadRequest } => JsonProblems.Malformed(httpContext),
            BadHttpRequestException bad => Problem.Of(httpContext, bad.StatusCode, null, bad.Message),
            // The framework throws this for an unknown charset, as if the server were at fault.
            InvalidOperationException when HasUnknownCharset(httpContext.Request) => Problem.Of(
                httpContext, 415, "unsupported_media_type", "The charset of the body is unknown; JSON must be UTF-8."),
            OperationCanceledException when httpContext.RequestAborted.IsCancellationRequested => null,
            _ when IsOutage(exception) => Unavailable(httpContext, exception),
            _ => Unexpected(httpContext, exception),
        };
        if (problem is not null)
            await problem.ExecuteAsync(httpContext);
        return true;
    }

    /// <summary>Whether the exception means that PostgreSQL or RabbitMQ is unavailable, so that a later retry may succeed.</summary>
    internal static bool IsOutage(Exception exception) =>
        exception is GatewayFullException || DatabaseFaults.Of(exception) != DatabaseFault.Statement;

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
            // The framework knows UTF-7 and refuses it.
            return true;
        }
    }

    private ProblemHttpResult Unavailable(HttpContext context, Exception exception)
    {
        LogUnavailable(exception.Message);
        return Problem.Of(context, 503, "unavailable", Problem.Unavailable);
    }

    private ProblemHttpResult Unexpected(HttpContext context, Exception exception)
    {
        LogUnexpected(exception, context.Request.Path);
        return Problem.Of(context, 500, "internal_error", "The request failed because of an error in the server. It is safe to retry with the same Idempotency-Key.");
    }

    [LoggerMessage(LogLevel.Warning, "The API answered 503: {Reason}")]
    private partial void LogUnavailable(string reason);

    [LoggerMessage(LogLevel.Error, "The API answered 500 to a request for {Path}")]
    private partial void LogUnexpected(Exception exception, string path);
}
