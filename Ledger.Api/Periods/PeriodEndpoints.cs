using System.ComponentModel;
using Ledger.Api.Audit;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Requests;
using Ledger.Core.Identity;
using Ledger.Core.Journal;
using Ledger.Core.Persistence;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace Ledger.Api.Periods;

/// <summary>The time until which the books are closed: no transaction takes effect before it.</summary>
public static class PeriodEndpoints
{
    private static readonly TimeSpan HorizonPatience = TimeSpan.FromSeconds(2);

    public static void MapPeriods(this IEndpointRouteBuilder routes)
    {
        routes.MapAdministration(Policies.Staff).MapGet("/periods", GetAsync).WithName("GetPeriods")
            .WithSummary("Get the time until which the books are closed");
        routes.MapAdministration(Policies.Operator).MapPut("/periods", CloseAsync).WithName("CloseBooks")
            .WithSummary("Close the books until a time in the past")
            .WithDescription("Later transactions that would take effect before `closedUntil` are rejected with `period_closed`. The time only moves forward: an earlier one gets 409 `closed_until_later`.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status409Conflict).ProducesProblem(StatusCodes.Status503ServiceUnavailable);
    }

    private static async Task<Ok<PeriodsResponse>> GetAsync(NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("select nullif(closed_until, '-infinity') from ledger.closing");
        return TypedResults.Ok(new PeriodsResponse(await command.ExecuteScalarAsync(cancellationToken) as DateTime?));
    }

    private static async Task<Results<Ok<PeriodsResponse>, ProblemHttpResult>> CloseAsync(
        PeriodsRequest request, HttpContext context, NpgsqlDataSource database, Horizon horizon)
    {
        var query = new QueryReader();
        var until = query.Time("closedUntil", request.ClosedUntil ?? "");
        if (query.Errors.Count > 0)
            return Problem.Invalid(context, query.Errors);
        var time = until!.Value.UtcDateTime;
        // A plain transaction takes effect when it is posted, so only a time before which nothing more is posted can be closed.
        if (await horizon.ReachAsync(time, HorizonPatience, context.RequestAborted) is not HorizonResult.Final and var reached)
        {
            return reached == HorizonResult.Future
                ? Problem.Invalid(context, new Dictionary<string, string[]> { ["closedUntil"] = [$"{Sent.Quoted(request.ClosedUntil!)} was sent. Must not be in the future."] })
                : Problem.Of(context, StatusCodes.Status503ServiceUnavailable, "unavailable", "A transaction that is not decided yet may be posted before this time. Try again.");
        }
        try
        {
            await database.ExecuteAsync(
                DatabaseRoles.ActFor(context.Caller().Id),
                new NpgsqlBatchCommand("select ledger.close_books($1)") { Parameters = { new() { Value = time } } },
                AuditTrail.Entry(context, AuditActions.BooksClosed, null, new Dictionary<string, string> { ["closedUntil"] = time.ToString("O", System.Globalization.CultureInfo.InvariantCulture) }));
        }
        catch (PostgresException e) when (e.ConstraintName == "closing_moves_forward")
        {
            return Problem.Of(context, StatusCodes.Status409Conflict, "closed_until_later", "The books are closed until a later time, which is never moved back.");
        }
        return TypedResults.Ok(new PeriodsResponse(time));
    }
}

/// <summary>Closes the books.</summary>
public sealed record PeriodsRequest([property: Description("An RFC 3339 time, not in the future.")] string? ClosedUntil);

/// <summary>The time until which the books are closed.</summary>
/// <param name="ClosedUntil">Null if no period was closed yet.</param>
public sealed record PeriodsResponse(DateTime? ClosedUntil);
