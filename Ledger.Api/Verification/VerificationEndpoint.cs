using System.Text.Json;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace Ledger.Api.Verification;

/// <summary>The result of the worker's last verification of the books.</summary>
internal static class VerificationEndpoint
{
    public static void MapVerification(this IEndpointRouteBuilder routes) => routes.MapAdministration(Policies.Staff)
        .MapGet("/verification", GetAsync).WithName("GetVerification")
        .WithSummary("Get the last verification")
        .WithDescription("404 before the first run of the verifier.")
        .ProducesProblem(StatusCodes.Status404NotFound);

    private static async Task<Results<Ok<VerificationResponse>, ProblemHttpResult>> GetAsync(
        HttpContext context, NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            "select at, took, accounts, transactions, entries, failures, report from ledger.verifications order by id desc limit 1");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? TypedResults.Ok(new VerificationResponse(
                reader.GetDateTime(0), reader.GetTimeSpan(1).TotalSeconds, reader.GetInt64(2), reader.GetInt64(3), reader.GetInt64(4),
                reader.GetInt64(5), JsonElement.Parse(reader.GetString(6))))
            : Problem.NotFound(context);
    }
}

/// <summary>A run of the verifier.</summary>
/// <param name="At">The time whose state was verified.</param>
/// <param name="Seconds">The duration.</param>
/// <param name="Failures">The number of rows that break a rule of the ledger.</param>
/// <param name="Report">The rows that break a rule, by rule.</param>
public sealed record VerificationResponse(
    DateTime At, double Seconds, long Accounts, long Transactions, long Entries, long Failures, JsonElement Report);
