using Ledger.Api.Audit;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Core.Identity;
using Ledger.Core.Persistence;
using Ledger.Core.Transactions;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace Ledger.Api.Transactions;

/// <summary>Commands that could not be posted, for operators.</summary>
internal static class FailedEndpoints
{
    private const int MaxListed = 200;

    public static void MapFailedCommands(this IEndpointRouteBuilder routes)
    {
        routes.MapAdministration(Policies.Staff).MapGet("/failed", ListAsync).WithName("ListFailedCommands")
            .WithSummary("List commands that could not be posted, the newest first")
            .WithDescription("One with `endsAt` was answered 202 and waits for an operator: retry or drop it before then, or it ends as failed. The others have ended.");
        var operators = routes.MapAdministration(Policies.Operator);
        operators.MapPost("/failed/{id:guid}/retry", RetryAsync).WithName("RetryFailedCommand")
            .WithSummary("Post a failed command again")
            .WithDescription("Only one that waits for an operator. 404 for one that has ended: its client was told that it failed.")
            .ProducesProblem(StatusCodes.Status404NotFound);
        operators.MapPost("/failed/{id:guid}/drop", DropAsync).WithName("DropFailedCommand")
            .WithSummary("End a failed command as failed, now")
            .WithDescription("Only one that waits for an operator. It has ended within seconds.")
            .ProducesProblem(StatusCodes.Status404NotFound);
    }

    private static async Task<Ok<FailedCommandList>> ListAsync(HttpContext context, NpgsqlDataSource database, CancellationToken cancellationToken) =>
        TypedResults.Ok(new FailedCommandList(await FailedCommands.ListAsync(
            database, MaxListed, [DatabaseRoles.ActFor(context.Caller().Id), DatabaseRoles.ReadEverything()], cancellationToken)));

    private static Task<Results<NoContent, ProblemHttpResult>> RetryAsync(Guid id, HttpContext context, NpgsqlDataSource database) =>
        ChangeAsync(context, database, id, FailedCommands.Retry(id), AuditActions.FailedCommandRetried);

    private static Task<Results<NoContent, ProblemHttpResult>> DropAsync(Guid id, HttpContext context, NpgsqlDataSource database) =>
        ChangeAsync(context, database, id, FailedCommands.Drop(id), AuditActions.FailedCommandDropped);

    private static async Task<Results<NoContent, ProblemHttpResult>> ChangeAsync(
        HttpContext context, NpgsqlDataSource database, Guid id, NpgsqlBatchCommand change, string action) =>
        await AuditTrail.ChangeAsync(context, database, change, AuditTrail.Entry(context, action, id.ToString()))
            ? TypedResults.NoContent()
            : Problem.NotFound(context);
}

/// <summary>Commands that could not be posted.</summary>
public sealed record FailedCommandList(IReadOnlyList<FailedCommand> Items);
