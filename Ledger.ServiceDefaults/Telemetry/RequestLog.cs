using System.Diagnostics;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Ledger.ServiceDefaults;

/// <summary>
/// Logs one line per request: method, path, status, duration, trace. Queries, headers and bodies can contain tokens and e-mail
/// addresses, so they are never logged.
/// </summary>
public static partial class RequestLog
{
    internal sealed record IsOn(bool Value);

    /// <summary>Adds the log to the pipeline if <see cref="TelemetryOptions.LogRequests"/> enables it.</summary>
    public static void UseRequestLog(this WebApplication app)
    {
        if (!app.Services.GetRequiredService<IsOn>().Value)
            return;

        var logger = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Ledger.Requests");
        app.Use(async (context, next) =>
        {
            var start = Stopwatch.GetTimestamp();
            try
            {
                await next(context);
            }
            finally
            {
                Log(logger, context.Request.Method, context.Request.Path, context.Response.StatusCode,
                    Stopwatch.GetElapsedTime(start).TotalMilliseconds, Activity.Current?.TraceId.ToHexString());
            }
        });
    }

    [LoggerMessage(LogLevel.Information, "{Method} {Path} {Status} {Milliseconds:0.0} ms trace {TraceId}")]
    private static partial void Log(ILogger logger, string method, string path, int status, double milliseconds, string? traceId);
}
