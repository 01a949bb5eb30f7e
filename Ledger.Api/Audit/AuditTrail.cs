using System.Text.Json;
using Ledger.Api.Identity;
using Ledger.Api.Requests;
using Ledger.Core.Persistence;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Api.Audit;

/// <summary>Entries of the audit trail, as statements for the transaction of the act that they record.</summary>
public static class AuditTrail
{
    /// <summary>An act of the caller.</summary>
    public static NpgsqlBatchCommand Entry(HttpContext context, string action, string? subject, IReadOnlyDictionary<string, string>? details = null) =>
        context.Caller() is var caller && caller.IsUser
            ? Entry(context, "user", caller.Id, action, subject, details)
            : Entry(context, "service", caller.Id, action, subject, details);

    /// <summary>An act of a user who logs in.</summary>
    /// <param name="session">The new session; the entry is only written if it exists.</param>
    public static NpgsqlBatchCommand EntryOf(HttpContext context, Guid user, string action, Guid session) =>
        Entry(context, "user", user, action, user.ToString(), null, session);

    /// <summary>An attempt of an unknown client.</summary>
    public static NpgsqlBatchCommand EntryOfUnknown(HttpContext context, string action, string? subject) =>
        Entry(context, "anonymous", null, action, subject, null);

    /// <summary>
    /// Runs a change for the calling operator, and writes its entry if a row was changed, in one transaction. Returns whether a row was
    /// changed.
    /// </summary>
    /// <param name="read">Gets the row that the change returns.</param>
    public static Task<bool> ChangeAsync(
        HttpContext context, NpgsqlDataSource database, NpgsqlBatchCommand change, NpgsqlBatchCommand entry, Action<NpgsqlDataReader>? read = null) =>
        ChangeAsync(context, database, change, () => entry, read);

    /// <summary>The same with an entry that tells what the change returned.</summary>
    public static async Task<bool> ChangeAsync(
        HttpContext context, NpgsqlDataSource database, NpgsqlBatchCommand change, Func<NpgsqlBatchCommand> entry, Action<NpgsqlDataReader>? read)
    {
        await using var connection = await database.OpenConnectionAsync(CancellationToken.None);
        await using var transaction = await connection.BeginTransactionAsync(CancellationToken.None);
        await using (var batch = new NpgsqlBatch(connection, transaction) { BatchCommands = { DatabaseRoles.ActFor(context.Caller().Id), DatabaseRoles.ReadEverything(), change } })
        await using (var reader = await batch.ExecuteReaderAsync(CancellationToken.None))
        {
            await reader.NextResultAsync(CancellationToken.None);
            await reader.NextResultAsync(CancellationToken.None);
            if (read is not null && await reader.ReadAsync(CancellationToken.None))
                read(reader);
        }
        if (change.RecordsAffected == 0)
            return false;
        await using (var audit = new NpgsqlBatch(connection, transaction) { BatchCommands = { entry() } })
            await audit.ExecuteNonQueryAsync(CancellationToken.None);
        await transaction.CommitAsync(CancellationToken.None);
        return true;
    }

    private static NpgsqlBatchCommand Entry(
        HttpContext context, string kind, Guid? actor, string action, string? subject, IReadOnlyDictionary<string, string>? details,
        Guid? session = null) => new("""
        insert into identity.audit (actor_kind, actor_id, action, subject, address, details)
        select $1, $2, $3, $4, $5, $6 where $7 is null or exists (select from identity.sessions where id = $7)
        """)
        {
            Parameters =
            {
                new() { Value = kind },
                new() { Value = (object?)actor ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid },
                new() { Value = action },
                new() { Value = (object?)subject ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
                new() { Value = (object?)context.Connection.RemoteIpAddress?.ToString() ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
                new()
                {
                    Value = details is null ? DBNull.Value : JsonSerializer.Serialize(details.ToDictionary(), ApiJson.Default.DictionaryStringString),
                    NpgsqlDbType = NpgsqlDbType.Json,
                },
                new() { Value = (object?)session ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid },
            },
        };
}
