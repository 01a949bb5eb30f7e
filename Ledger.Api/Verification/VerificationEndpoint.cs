using System.Text.Json;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace Ledger.Api.Verification;

/// <summary>Whether the books are in order, as the worker's verifier last found them.</summary>
internal static class VerificationEndpoint
{
    public static void MapVerification(this IEndpointRouteBuilder routes) => routes.MapAdministration(Policies.Staff)
        .MapGet("/verification", GetAsync).WithName("GetVerification")
        .WithSummary("The last run of the verifier")
        .WithDescription("404 until there was one.")
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

/// <summary>One run of the verifier.</summary>
/// <param name="At">The moment whose state was checked.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="Failures">Breaches of the ledger's rules; 0 is clean.</param>
/// <param name="Report">The rows that break a rule, by rule.</param>
public sealed record VerificationResponse(
    DateTime At, double Seconds, long Accounts, long Transactions, long Entries, long Failures, JsonElement Report);
