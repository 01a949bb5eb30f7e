using System.Globalization;
using System.Text.Json;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Requests;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Api.Audit;

/// <summary>The append-only audit trail: every administrative act and every sign-in.</summary>
internal static class AuditEndpoints
{
    private const int MaxFilter = 100;

    public static void MapAudit(this IEndpointRouteBuilder routes) => routes.MapAdministration(Policies.Staff)
        .MapGet("/audit", ListAsync).WithName("ListAudit")
        .WithSummary("List the audit trail, newest first")
        .WithDescription("Filters: `actor` is the id of the user or service account that acted, `subject` the user, currency or service account that was acted on, `action` the act.")
        .ProducesProblem(StatusCodes.Status400BadRequest);

    private static async Task<Results<Ok<AuditPage>, ProblemHttpResult>> ListAsync(
        HttpContext context, NpgsqlDataSource database, CancellationToken cancellationToken, string? actor = null, string? subject = null,
        string? action = null, string? cursor = null, string? limit = null)
    {
        var query = new QueryReader();
        var by = query.Id("actor", actor);
        var before = query.Cursor("cursor", cursor, (string? text, out long value) =>
            long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value));
        var pageSize = query.PageSize(limit);
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

/// <summary>An entry of the audit trail.</summary>
/// <param name="ActorKind">user, service, command_line, identity_provider (a role that a token brought) or anonymous (a failed sign-in).</param>
/// <param name="Subject">The id of the user or service account, or the code of the currency, that was acted on.</param>
/// <param name="Address">The remote address of the request.</param>
public sealed record AuditEntry(
    long Id, DateTime At, string ActorKind, Guid? ActorId, string Action, string? Subject, string? Address, JsonElement? Details);

/// <summary>A page of the audit trail, newest first.</summary>
/// <param name="NextCursor">The cursor of the next page; null on the last page.</param>
public sealed record AuditPage(IReadOnlyList<AuditEntry> Items, string? NextCursor);
