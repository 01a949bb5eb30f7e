using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Ledger.ServiceDefaults;

/// <summary>
/// Readiness (<c>/health</c>, <c>/ready</c>): the process and its dependencies work. Liveness (<c>/alive</c>, <c>/live</c>): the process
/// responds. Both are mapped in every environment. Kubernetes uses readiness as startup probe only: without RabbitMQ an API still
/// serves reads and records commands.
/// </summary>
public static partial class Health
{
    private const string Readiness = "readiness";

    // Connections take a moment at a start: only what lasts is worth a warning.
    private static readonly TimeSpan s_startGrace = TimeSpan.FromSeconds(15);

    private static readonly string[] s_readinessPaths = ["/health", "/ready"];
    private static readonly string[] s_livenessPaths = ["/alive", "/live"];

    /// <summary>Adds the check of PostgreSQL. Each service adds a check of its connection to RabbitMQ.</summary>
    public static IHealthChecksBuilder AddServiceHealth(this IHostApplicationBuilder builder) =>
        builder.Services.AddHealthChecks().AddCheck<PostgresCheck>("postgres", tags: [Readiness], timeout: TimeSpan.FromSeconds(3));

    /// <summary>Adds a check to readiness.</summary>
    public static IHealthChecksBuilder AddReadiness<TCheck>(this IHealthChecksBuilder checks, string name) where TCheck : class, IHealthCheck =>
        checks.AddCheck<TCheck>(name, tags: [Readiness], timeout: TimeSpan.FromSeconds(3));

    /// <summary>Maps readiness and liveness, without authentication.</summary>
    public static void MapServiceHealth(this WebApplication app)
    {
        // Replaces the framework's log of each failed check, which has a stack trace and is repeated on every request.
        var unreadiness = new OnceAMinute(TimeProvider.System);
        var start = TimeProvider.System.GetTimestamp();
        var wasReady = false;
        var readiness = new HealthCheckOptions
        {
            Predicate = check => check.Tags.Contains(Readiness),
            ResponseWriter = (context, report) =>
            {
                if (report.Status == HealthStatus.Healthy)
                    wasReady = true;
                else if (wasReady || TimeProvider.System.GetElapsedTime(start) > s_startGrace)
                    Report(string.Join(", ", report.Entries.Where(entry => entry.Value.Status != HealthStatus.Healthy).Select(entry => entry.Key)));
                return WriteAsync(context, report);
            },
        };
        var liveness = new HealthCheckOptions { Predicate = _ => false, ResponseWriter = WriteAsync };
        foreach (var path in s_readinessPaths)
            app.MapHealthChecks(path, readiness).AllowAnonymous().DisableHttpMetrics();
        foreach (var path in s_livenessPaths)
            app.MapHealthChecks(path, liveness).AllowAnonymous().DisableHttpMetrics();

        void Report(string checks)
        {
            if (unreadiness.IsDue(checks))
                LogNotReady(app.Logger, checks);
        }
    }

    /// <summary>Whether <paramref name="path"/> is one of readiness or liveness.</summary>
    internal static bool IsProbe(PathString path) =>
        s_readinessPaths.Concat(s_livenessPaths).Any(probe => path.Equals(probe, StringComparison.OrdinalIgnoreCase));

    // Only names and states: descriptions and exceptions can contain addresses and user names.
    private static async Task WriteAsync(HttpContext context, HealthReport report)
    {
        context.Response.ContentType = "application/json";
        await using var json = new Utf8JsonWriter(context.Response.BodyWriter);
        json.WriteStartObject();
        json.WriteString("status"u8, report.Status.ToString());
        json.WriteStartObject("checks"u8);
        foreach (var (name, entry) in report.Entries)
            json.WriteString(name, entry.Status.ToString());
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private sealed class PostgresCheck(NpgsqlDataSource database) : IHealthCheck
    {
        public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
        {
            try
            {
                await using var command = database.CreateCommand("select 1");
                await command.ExecuteScalarAsync(cancellationToken);
                return HealthCheckResult.Healthy();
            }
            catch (NpgsqlException e)
            {
                return new HealthCheckResult(context.Registration.FailureStatus, exception: e);
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "Not ready, checks failed: {Checks}")]
    private static partial void LogNotReady(ILogger logger, string checks);
}
