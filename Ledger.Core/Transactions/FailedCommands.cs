using Ledger.Core.Currencies;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Core.Transactions;

/// <summary>
/// Commands that could not be posted for a reason that is not their client's. One whose client was told nothing final waits
/// among the pending commands for an operator, who gives it to the relay again or drops it; without an operator it ends as failed
/// by itself. Failed is final: the transaction is stored as such, and its message, moved back, posts nothing.
/// </summary>
public static class FailedCommands
{
    /// <summary>Those that wait for an operator, and the latest that ended as failed, the newest first.</summary>
    public static async Task<IReadOnlyList<FailedCommand>> ListAsync(
        NpgsqlDataSource database, int limit, NpgsqlBatchCommand[] before, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        foreach (var statement in before)
            batch.BatchCommands.Add(statement);
        batch.BatchCommands.Add(new NpgsqlBatchCommand("""
            (select p.id, p.kind, p.owner_id, p.recorded_at, p.failed_at, p.failure, p.ends_at
            from ledger.pending_commands p
            where p.failure is not null and not exists (select from ledger.transactions t where t.id = p.id) order by p.failed_at desc limit $1)
            union all
            (select t.id, t.kind, t.owner_id, t.created_at, t.decided_at, t.failure, null
            from ledger.transactions t where t.status = 'failed' order by t.decided_at desc limit $1)
            order by 5 desc limit $1
            """)
        {
            Parameters = { new() { Value = limit } },
        });
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        for (var i = 0; i < before.Length; i++)
            await reader.NextResultAsync(cancellationToken);
        var failed = new List<FailedCommand>();
        while (await reader.ReadAsync(cancellationToken))
        {
            failed.Add(new FailedCommand(
                reader.GetGuid(0), reader.GetString(1), reader.IsDBNull(2) ? null : reader.GetGuid(2), reader.GetDateTime(3), reader.GetDateTime(4),
                reader.GetString(5), reader.IsDBNull(6) ? null : reader.GetDateTime(6)));
        }
        return failed;
    }

    /// <summary>Makes a failed command due for the relay again. Changes no row if it does not wait for an operator.</summary>
    public static NpgsqlBatchCommand Retry(Guid id) => new("""
        update ledger.pending_commands set failure = null, failed_at = null, ends_at = null, due_at = clock_timestamp(), relays = 0
        where id = $1 and failure is not null and not exists (select from ledger.transactions t where t.id = $1)
        """)
    {
        Parameters = { new() { Value = id } },
    };

    /// <summary>Lets a failed command end as failed now: a worker records it. Changes no row if it does not wait for an operator.</summary>
    public static NpgsqlBatchCommand Drop(Guid id) => new(
        "update ledger.pending_commands set ends_at = clock_timestamp() where id = $1 and failure is not null")
    {
        Parameters = { new() { Value = id } },
    };

    /// <summary>
    /// Records that a command cannot be posted. A pending one waits for an operator, for as long as <paramref name="patience"/>; of
    /// any other the client waits for the answer, and it ends as failed.
    /// </summary>
    /// <param name="isPoison">Whether the command brought workers down. It is recorded without its text, which may be the cause.</param>
    /// <returns>The stored transaction: failed, or decided meanwhile; null if the command waits for an operator.</returns>
    public static async Task<Transaction?> RecordAsync(
        NpgsqlConnection connection, Command command, string reason, TimeSpan patience, bool isPoison, CancellationToken cancellationToken)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        if (await MarkAsync(connection, command.Id, reason, patience, cancellationToken))
        {
            await transaction.CommitAsync(cancellationToken);
            return null;
        }
        var failed = Failed(Transaction.Pending(isPoison ? command with { Reference = null, Metadata = null } : command), reason);
        var stored = await WriteAsync(connection, failed, command.IdempotencyKey is null ? null : command, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return stored;
    }

    /// <summary>Marks a pending command as failed, so that the relay leaves it to an operator. False if there is none.</summary>
    public static async Task<bool> MarkAsync(
        NpgsqlConnection connection, Guid id, string reason, TimeSpan patience, CancellationToken cancellationToken)
    {
        // Its tries are forgotten: it is not tried again unless an operator says so.
        await using var mark = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new("""
                    update ledger.pending_commands set failure = $2, failed_at = clock_timestamp(), ends_at = clock_timestamp() + $3
                    where id = $1 and failure is null
                    """)
                {
                    Parameters =
                    {
                        new() { Value = id }, new() { Value = Text(reason) }, new() { Value = patience, NpgsqlDbType = NpgsqlDbType.Interval },
                    },
                },
                new("delete from ledger.attempts where command_id in (select id from ledger.pending_commands where id = $1)") { Parameters = { new() { Value = id } } },
                new("select exists (select from ledger.pending_commands where id = $1)") { Parameters = { new() { Value = id } } },
            },
        };
        await using var reader = await mark.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return reader.GetBoolean(0);
    }

    /// <summary>
    /// Ends failed commands whose time is over: each is stored as a failed transaction, then announced, and pending no longer after that.
    /// A worker that dies in between leaves it pending, and it is announced again.
    /// </summary>
    /// <param name="announce">Publishes the events of the ended commands.</param>
    /// <returns>How many have ended.</returns>
    public static async Task<int> EndAsync(
        NpgsqlDataSource database, int limit, Func<IReadOnlyList<Transaction>, Task> announce, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var ended = new List<Transaction>();
        await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
        {
            var ending = new List<(StoredCommand Command, string Failure)>();
            await using (var take = new NpgsqlCommand($"""
                select {PendingCommands.Columns}, p.failure
                from ledger.pending_commands p where p.failure is not null and p.ends_at <= clock_timestamp()
                order by p.ends_at limit $1 for update skip locked
                """, connection, transaction) { Parameters = { new() { Value = limit } } })
            await using (var reader = await take.ExecuteReaderAsync(cancellationToken))
            {
                while (await reader.ReadAsync(cancellationToken))
                    ending.Add((PendingCommands.ReadStored(reader, 1), reader.GetString(7)));
            }
            foreach (var (command, failure) in ending)
                ended.Add(await WriteAsync(connection, Failed(command.ToTransaction(), failure), null, cancellationToken));
            await transaction.CommitAsync(cancellationToken);
        }
        if (ended.Count == 0)
            return 0;

        await announce(ended);
        await using var delete = new NpgsqlCommand("delete from ledger.pending_commands where id = any ($1)", connection)
        {
            Parameters = { new() { Value = ended.ConvertAll(command => command.Id) } },
        };
        await delete.ExecuteNonQueryAsync(cancellationToken);
        return ended.Count;
    }

    private static Transaction Failed(Transaction transaction, string reason) => transaction with
    {
        Status = TransactionStatus.Failed,
        Failure = Text(reason),
        CreatedAt = transaction.CreatedAt.AddTicks(-(transaction.CreatedAt.Ticks % TimeSpan.TicksPerMicrosecond)),
    };

    // What made a command impossible to post may stand in its own words: then it is recorded without them.
    private static async Task<Transaction> WriteAsync(NpgsqlConnection connection, Transaction failed, Command? keyed, CancellationToken cancellationToken)
    {
        Transaction[] forms = [failed, failed with { Reference = null, Metadata = null }, failed with { Reference = null, Metadata = null, RecipientId = null, Amount = new Money(0, "") }];
        foreach (var form in forms)
        {
            try
            {
                await ExecuteAsync(connection, "savepoint failed", cancellationToken);
                var stored = await InsertAsync(connection, form, keyed, cancellationToken);
                await ExecuteAsync(connection, "release savepoint failed", cancellationToken);
                return stored;
            }
            catch (PostgresException e) when (form != forms[^1] && Persistence.DatabaseFaults.Of(e) == Persistence.DatabaseFault.Statement)
            {
                await ExecuteAsync(connection, "rollback to savepoint failed", cancellationToken);
            }
        }
        throw new InvalidOperationException($"Command {failed.Id} could not be recorded as failed.");
    }

    private static async Task<Transaction> InsertAsync(NpgsqlConnection connection, Transaction failed, Command? keyed, CancellationToken cancellationToken)
    {
        // The transaction's id before the time, as everywhere.
        DateTime now;
        await using (var clock = new NpgsqlCommand("select pg_current_xact_id(), clock_timestamp()", connection))
        await using (var reader = await clock.ExecuteReaderAsync(cancellationToken))
        {
            await reader.ReadAsync(cancellationToken);
            now = reader.GetDateTime(1);
        }
        failed = failed with { DecidedAt = now, EffectiveAt = failed.EffectiveAt < now ? failed.EffectiveAt : null };
        var isEmpty = failed.Amount.Currency is "";
        await using var insert = new NpgsqlCommand("""
            insert into ledger.transactions
                (id, kind, status, principal_id, owner_id, recipient_id, account_ids, currency, amount, reference, metadata, created_at, decided_at, failure, digest,
                details, effective_at, reverses)
            values ($1, $2, 'failed', $3, $4, $5, '{}', $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
            on conflict do nothing
            """, connection)
        {
            Parameters =
            {
                new() { Value = failed.Id },
                new() { Value = failed.Kind },
                new() { Value = failed.PrincipalId },
                new() { Value = failed.OwnerId ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid },
                new() { Value = failed.RecipientId ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid },
                new() { Value = isEmpty ? DBNull.Value : failed.Amount.Currency, NpgsqlDbType = NpgsqlDbType.Text },
                new() { Value = isEmpty ? DBNull.Value : failed.Amount.MinorUnits, NpgsqlDbType = NpgsqlDbType.Bigint },
                new() { Value = failed.Reference ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
                new() { Value = failed.Metadata ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Json },
                new() { Value = failed.CreatedAt, NpgsqlDbType = NpgsqlDbType.TimestampTz },
                new() { Value = now, NpgsqlDbType = NpgsqlDbType.TimestampTz },
                new() { Value = failed.Failure! },
                new() { Value = TransactionDigest.Of(failed) },
                new() { Value = failed.Details ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Json },
                new() { Value = failed.EffectiveAt ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz },
                new() { Value = failed.Reverses ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid },
            },
        };
        if (await insert.ExecuteNonQueryAsync(cancellationToken) == 0)
            return (await TransactionReader.LoadAsync(connection, [failed.Id], cancellationToken)).Single();

        if (keyed is { IdempotencyKey: { Length: > 0 and <= 255 } key } && !key.Contains('\0'))
        {
            await using var reserve = new NpgsqlCommand("""
                insert into ledger.idempotency_keys (principal_id, key, request_hash, transaction_id) values ($1, $2, $3, $4) on conflict do nothing
                """, connection)
            {
                Parameters = { new() { Value = keyed.PrincipalId }, new() { Value = key }, new() { Value = HashOf(keyed) }, new() { Value = keyed.Id } },
            };
            await reserve.ExecuteNonQueryAsync(cancellationToken);
        }
        return failed;
    }

    private static byte[] HashOf(Command command)
    {
        try
        {
            return RequestHash.Of(command);
        }
        catch (Exception e) when (e is System.Text.Json.JsonException or InvalidOperationException)
        {
            return RequestHash.Of(command with { Metadata = null });
        }
    }

    // PostgreSQL stores no NUL in a text; reasons quote what could not be written.
    private static string Text(string reason)
    {
        var text = reason.Replace("\0", "", StringComparison.Ordinal);
        return text.Length switch { 0 => "It could not be posted.", > 1000 => text[..1000], _ => text };
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}

/// <summary>A command that could not be posted.</summary>
/// <param name="OwnerId">The user whose money it would have moved.</param>
/// <param name="RecordedAt">When it was accepted, UTC.</param>
/// <param name="FailedAt">UTC.</param>
/// <param name="Failure">The reason, for operators.</param>
/// <param name="EndsAt">Until when an operator can give it to the relay again, UTC; null if it has ended as failed.</param>
public sealed record FailedCommand(Guid Id, string Kind, Guid? OwnerId, DateTime RecordedAt, DateTime FailedAt, string Failure, DateTime? EndsAt);
