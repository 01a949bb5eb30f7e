using System.Globalization;
using System.Text.Json;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Requests;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Api.Audit;

/// <summary>Who did what: every administrative act and every sign-in, and nobody can change it.</summary>
internal static class AuditEndpoints
{
    private const int MaxFilter = 100;

    public static void MapAudit(this IEndpointRouteBuilder routes) => routes.MapAdministration(Policies.Staff)
        .MapGet("/audit", ListAsync).WithName("ListAudit")
        .WithSummary("Read the audit trail, newest first")
        .WithDescription("Filters: `actor`, the id of a user or an API key; `subject`, whom or what it was done to; `action`.")
        .ProducesProblem(StatusCodes.Status400BadRequest);

    private static async Task<Results<Ok<AuditPage>, ProblemHttpResult>> ListAsync(
        HttpContext context, NpgsqlDataSource database, CancellationToken cancellationToken, string? actor = null, string? subject = null,
        string? action = null, string? cursor = null, string? limit = null)
    {
        var query = new QueryReader();
        var by = query.Id("actor", actor);
        var before = query.Cursor("cursor", cursor, (string? text, out long value) =>
            long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value));
        var pageSize = query.Number("limit", limit, 1, 1000) ?? 50;
        foreach (var (name, text) in new[] { ("subject", subject), ("action", action) })
        {
            if (text is not null && (text.Length > MaxFilter || text.Contains('\0')))
                query.Errors[name] = [$"Must be text of at most {MaxFilter} characters."];
        }
        if (query.Errors.Count > 0)
            return Problem.Invalid(context, query.Errors);

        await using var command = database.CreateCommand("""
            select id, at, actor_kind, actor_id, action, subject, address, details from identity.audit
            where ($1::bigint is null or id < $1)
                and ($2::uuid is null or actor_id = $2)
                and ($3::text is null or subject = $3)
                and ($4::text is null or action = $4)
            order by id desc limit $5
            """);
        command.Parameters.Add(new() { Value = before ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Bigint });
        command.Parameters.Add(new() { Value = by ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid });
        command.Parameters.Add(new() { Value = subject ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new() { Value = action ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new() { Value = pageSize + 1 });
        var entries = new List<AuditEntry>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            entries.Add(new AuditEntry(
                reader.GetInt64(0), reader.GetDateTime(1), reader.GetString(2), reader.IsDBNull(3) ? null : reader.GetGuid(3), reader.GetString(4),
                reader.IsDBNull(5) ? null : reader.GetString(5), reader.IsDBNull(6) ? null : reader.GetString(6),
                reader.IsDBNull(7) ? null : JsonElement.Parse(reader.GetString(7))));
        }
        var page = entries.Take(pageSize).ToList();
        return TypedResults.Ok(new AuditPage(page, entries.Count > pageSize ? page[^1].Id.ToString(CultureInfo.InvariantCulture) : null));
    }
}

/// <summary>Something that somebody did.</summary>
/// <param name="ActorKind">user, api_key, command_line or nobody (who failed to become somebody).</param>
/// <param name="Subject">Whom or what it was done to: a user's id, a currency's code, an API key's id.</param>
/// <param name="Address">Where the request came from.</param>
public sealed record AuditEntry(
    long Id, DateTime At, string ActorKind, Guid? ActorId, string Action, string? Subject, string? Address, JsonElement? Details);

/// <summary>A page of the audit trail, newest first.</summary>
/// <param name="NextCursor">Asks for the next page; null on the last.</param>
public sealed record AuditPage(IReadOnlyList<AuditEntry> Items, string? NextCursor);
