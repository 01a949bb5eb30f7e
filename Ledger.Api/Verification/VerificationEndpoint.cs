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
        .WithDescription("`moneyFailures` above 0 means that the books are wrong. `livenessFailures` counts commands that wait for too long; the books are right. 404 before the first run of the verifier.")
        .ProducesProblem(StatusCodes.Status404NotFound);

    private static async Task<Results<Ok<VerificationResponse>, ProblemHttpResult>> GetAsync(
        HttpContext context, NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(
            "select at, took, accounts, transactions, entries, money_failures, liveness_failures, report from ledger.verifications order by id desc limit 1");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? TypedResults.Ok(new VerificationResponse(
                reader.GetDateTime(0), reader.GetTimeSpan(1).TotalSeconds, reader.GetInt64(2), reader.GetInt64(3), reader.GetInt64(4),
                reader.GetInt64(5), reader.GetInt64(6), JsonElement.Parse(reader.GetString(7))))
            : Problem.NotFound(context);
    }
}

/// <summary>A run of the verifier.</summary>
/// <param name="At">The time whose state was verified.</param>
/// <param name="Seconds">The duration.</param>
/// <param name="MoneyFailures">The number of rows that break a rule of the books; 0 if the books are right.</param>
/// <param name="LivenessFailures">The number of pending commands that failed or are too old.</param>
/// <param name="Report">The rows that break a rule, by rule.</param>
public sealed record VerificationResponse(
    DateTime At, double Seconds, long Accounts, long Transactions, long Entries, long MoneyFailures, long LivenessFailures, JsonElement Report);
