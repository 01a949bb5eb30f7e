using System.Text.Json;
using Ledger.Core.Messaging;
using Ledger.Core.Persistence;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Core.Transactions;

/// <summary>
/// Commands that a client was told are recorded (202) before they were decided. Whoever reads a transaction finds it here
/// until it is among the decided ones.
/// </summary>
public static class PendingCommands
{
    /// <summary>
    /// Records a command, and reserves its idempotency key, before its client is answered 202. Recording it again, or
    /// after it was decided, is harmless.
    /// </summary>
    /// <param name="published">Whether the queue has it, as far as is known; if not, the relay takes it at once.</param>
    /// <returns>What the key stands for, if that is another command; then nothing was recorded.</returns>
    public static async Task<KeyConflict?> RecordAsync(
        NpgsqlDataSource database, Command command, bool published, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);

        if (command.IdempotencyKey is { } key)
        {
            // Waits for a worker that is about to commit the same key; the second statement then sees what it stands for.
            await using var reserve = new NpgsqlBatch(connection, transaction)
            {
                BatchCommands =
                {
                    DatabaseRoles.ActFor(command.KeyOwnerId),
                    new NpgsqlBatchCommand("""
                        insert into ledger.idempotency_keys (owner_id, key, request_hash, transaction_id)
                        values ($1, $2, $3, $4) on conflict do nothing
                        """)
                    {
                        Parameters = { new() { Value = command.KeyOwnerId }, new() { Value = key }, new() { Value = command.RequestHash! }, new() { Value = command.Id } },
                    },
                    new NpgsqlBatchCommand("select request_hash, transaction_id from ledger.idempotency_keys where owner_id = $1 and key = $2")
                    {
                        Parameters = { new() { Value = command.KeyOwnerId }, new() { Value = key } },
                    },
                },
            };
            await using var reader = await reserve.ExecuteReaderAsync(cancellationToken);
            await reader.NextResultAsync(cancellationToken);
            await reader.ReadAsync(cancellationToken);
            if (reader.GetGuid(1) is var holder && holder != command.Id)
                return new KeyConflict(holder, reader.GetFieldValue<byte[]>(0).AsSpan().SequenceEqual(command.RequestHash));
        }

        await using var record = new NpgsqlBatch(connection, transaction)
        {
            BatchCommands =
            {
                DatabaseRoles.ActFor(command.OwnerId),
                new NpgsqlBatchCommand("""
                    insert into ledger.pending_commands (id, owner_id, command, relayed_at)
                    select $1, $2, $3, case when $4 then clock_timestamp() end
                    where not exists (select from ledger.transactions where id = $1)
                    on conflict do nothing
                    """)
                {
                    Parameters =
                    {
                        new() { Value = command.Id },
                        new() { Value = command.OwnerId },
                        new() { Value = JsonSerializer.Serialize(command, MessageJson.Default.Command), NpgsqlDbType = NpgsqlDbType.Json },
                        new() { Value = published },
                    },
                },
            },
        };
        await record.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return null;
    }

    /// <summary>Takes commands that the queue has never seen, or not for so long that it may have lost them.</summary>
    /// <param name="after">After how long a published command that is still undecided is published again.</param>
    /// <returns>Those that can be read, and those that cannot: nobody can post them, nor may they keep others from being posted.</returns>
    public static async Task<(IReadOnlyList<Command> Commands, IReadOnlyList<UnreadableCommand> Unreadable)> TakeForRelayAsync(
        NpgsqlDataSource database, int limit, TimeSpan after, CancellationToken cancellationToken)
    {
        // "skip locked": several workers relay side by side without publishing each other's.
        await using var take = database.CreateCommand("""
            update ledger.pending_commands p set relayed_at = clock_timestamp()
            from (
                select id from ledger.pending_commands
                where failure is null and (relayed_at is null or relayed_at < clock_timestamp() - $1)
                order by id limit $2
                for update skip locked) due
            where p.id = due.id
            returning p.id, p.command
            """);
        take.Parameters.Add(new() { Value = after });
        take.Parameters.Add(new() { Value = limit });
        var commands = new List<Command>();
        var unreadable = new List<UnreadableCommand>();
        await using var reader = await take.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            var (id, text) = (reader.GetGuid(0), reader.GetString(1));
            // Under another id it would be decided without this row's ever going away.
            if (TryRead(text) is { } command && command.Id == id)
                commands.Add(command);
            else
                unreadable.Add(new UnreadableCommand(id, text));
        }
        return (commands, unreadable);
    }

    private static Command? TryRead(string text)
    {
        try
        {
            return JsonSerializer.Deserialize(text, MessageJson.Default.Command);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>Gives commands back that could not be published after all.</summary>
    public static async Task ReturnAsync(NpgsqlDataSource database, Guid[] ids, CancellationToken cancellationToken)
    {
        await using var update = database.CreateCommand("update ledger.pending_commands set relayed_at = null where id = any ($1)");
        update.Parameters.Add(new() { Value = ids });
        await update.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>How many commands wait to be decided, and for how long.</summary>
    public static async Task<PendingBacklog> BacklogAsync(NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var count = database.CreateCommand(
            "select count(*), coalesce(clock_timestamp() - min(recorded_at), interval '0') from ledger.pending_commands");
        await using var reader = await count.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return new PendingBacklog(reader.GetInt64(0), reader.GetTimeSpan(1));
    }

    /// <summary>Marks a command that no batch can post, so that the relay leaves it to the operator.</summary>
    public static async Task MarkFailedAsync(NpgsqlDataSource database, Guid id, string reason, CancellationToken cancellationToken)
    {
        await using var update = database.CreateCommand("update ledger.pending_commands set failure = $2 where id = $1");
        update.Parameters.Add(new() { Value = id });
        update.Parameters.Add(new() { Value = reason });
        await update.ExecuteNonQueryAsync(cancellationToken);
    }
}

/// <summary>A pending command that this version cannot read.</summary>
/// <param name="Text">As it is stored: JSON.</param>
public readonly record struct UnreadableCommand(Guid Id, string Text);

/// <summary>Commands that wait to be decided.</summary>
public sealed record PendingBacklog(long Count, TimeSpan OldestAge);

/// <summary>An idempotency key that stands for another command.</summary>
/// <param name="SameRequest">Whether that command asked for the same.</param>
public readonly record struct KeyConflict(Guid TransactionId, bool SameRequest);
