using System.Text.Json;
using Ledger.Core.Currencies;
using Ledger.Core.Messaging;
using Ledger.Core.Persistence;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Core.Transactions;

/// <summary>
/// Commands that are recorded and not decided: the API answered 202, or no worker could decide them yet. A transaction is read from
/// here until it is decided.
/// </summary>
public static class PendingCommands
{
    /// <summary>The columns that <see cref="Read"/> expects, of <c>ledger.pending_commands p</c>.</summary>
    public const string Columns = "p.id, p.principal_id, p.owner_id, p.kind, p.currency, p.created_at, p.command";

    private const string Due = "failure is null and due_at <= clock_timestamp() and kind = any ($1) and version <= $2";

    private const string Insert = """
        insert into ledger.pending_commands as p (id, principal_id, owner_id, version, kind, currency, created_at, command, due_at)
        select $1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + $9
        where not exists (select from ledger.transactions where id = $1)
        """;

    // The pause between two publications of a command doubles up to this.
    private static readonly TimeSpan LongestPause = TimeSpan.FromHours(1);

    /// <summary>
    /// Records a command, and reserves its idempotency key, before the API answers 202. Recording a command again, or after its decision,
    /// changes nothing.
    /// </summary>
    /// <param name="dueIn">The time until the relay publishes the command: zero if the queue does not have it.</param>
    /// <returns>The command that the key stands for, if that is another one; nothing was recorded then.</returns>
    public static async Task<KeyConflict?> RecordAsync(
        NpgsqlDataSource database, Command command, TimeSpan dueIn, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);

        if (command.IdempotencyKey is { } key)
        {
            // The insert waits for a worker that is about to commit the same key; the select then reads it.
            await using var reserve = new NpgsqlBatch(connection, transaction)
            {
                BatchCommands =
                {
                    DatabaseRoles.ActFor(command.PrincipalId, command.OwnerId),
                    new NpgsqlBatchCommand("""
                        insert into ledger.idempotency_keys (principal_id, key, request_hash, transaction_id)
                        values ($1, $2, $3, $4) on conflict do nothing
                        """)
                    {
                        Parameters = { new() { Value = command.PrincipalId }, new() { Value = key }, new() { Value = RequestHash.Of(command) }, new() { Value = command.Id } },
                    },
                    new NpgsqlBatchCommand("select request_hash, transaction_id from ledger.idempotency_keys where principal_id = $1 and key = $2")
                    {
                        Parameters = { new() { Value = command.PrincipalId }, new() { Value = key } },
                    },
                },
            };
            await using var reader = await reserve.ExecuteReaderAsync(cancellationToken);
            await reader.NextResultAsync(cancellationToken);
            await reader.ReadAsync(cancellationToken);
            if (reader.GetGuid(1) is var holder && holder != command.Id)
                return new KeyConflict(holder, RequestHash.Matches(command, reader.GetFieldValue<byte[]>(0)));
        }

        await using var record = new NpgsqlBatch(connection, transaction)
        {
            BatchCommands = { DatabaseRoles.ActFor(command.PrincipalId, command.OwnerId), InsertOf(StoredCommand.Of(command), dueIn, "on conflict do nothing") },
        };
        await record.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return null;
    }

    /// <summary>
    /// Records commands that this worker does not decide now, for the relay. One that is recorded already is due anew, twice as late each
    /// time that the relay has brought it; a decided one stays decided.
    /// </summary>
    public static async Task ParkAsync(NpgsqlDataSource database, IEnumerable<StoredCommand> commands, TimeSpan dueIn, CancellationToken cancellationToken)
    {
        await using var batch = database.CreateBatch();
        foreach (var command in commands)
            batch.BatchCommands.Add(InsertOf(command, dueIn, """
                on conflict (id) do update
                set due_at = clock_timestamp() + least((excluded.due_at - clock_timestamp()) * power(2, least(p.relays, 10)), interval '1 hour')
                """));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Stores the reply queue of the API process that waits for commands which this worker left to the relay.</summary>
    public static async Task ReplyToAsync(NpgsqlDataSource database, Guid[] ids, string replyTo, CancellationToken cancellationToken)
    {
        await using var update = database.CreateCommand("update ledger.pending_commands set reply_to = $2 where id = any ($1)");
        update.Parameters.Add(new() { Value = ids });
        update.Parameters.Add(new() { Value = replyTo });
        await update.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Whether there is a command that <see cref="TakeDueAsync"/> may take.</summary>
    public static async Task<bool> IsAnyDueAsync(NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var look = database.CreateCommand($"select exists (select from ledger.pending_commands where {Due})");
        look.Parameters.Add(new() { Value = TransactionNames.Kinds });
        look.Parameters.Add(new() { Value = (short)Envelope.CurrentVersion });
        return (bool)(await look.ExecuteScalarAsync(cancellationToken))!;
    }

    /// <summary>
    /// Takes due commands: those that the queue has not received, or may have lost. The pause doubles each time that a command is taken.
    /// Commands that a worker is deciding, and commands of an unknown kind or version, are skipped.
    /// </summary>
    /// <param name="after">The first pause.</param>
    /// <returns>The readable commands, and the unreadable ones, which must not keep the others from being posted.</returns>
    public static async Task<(IReadOnlyList<DueCommand> Commands, IReadOnlyList<StoredCommand> Unreadable)> TakeDueAsync(
        NpgsqlDataSource database, int limit, TimeSpan after, CancellationToken cancellationToken)
    {
        // "skip locked": several relays do not publish each other's commands, and a batch locks those that it decides.
        await using var take = database.CreateCommand($"""
            update ledger.pending_commands p
            set relays = p.relays + 1, due_at = clock_timestamp() + least($4 * power(2, least(p.relays, 20)), $5)
            from (
                select id from ledger.pending_commands where {Due}
                order by due_at limit $3
                for update skip locked) due
            where p.id = due.id
            returning {Columns}, p.version, p.reply_to
            """);
        take.Parameters.Add(new() { Value = TransactionNames.Kinds });
        take.Parameters.Add(new() { Value = (short)Envelope.CurrentVersion });
        take.Parameters.Add(new() { Value = limit });
        take.Parameters.Add(new() { Value = after });
        take.Parameters.Add(new() { Value = LongestPause });
        var commands = new List<DueCommand>();
        var unreadable = new List<StoredCommand>();
        await using var reader = await take.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            var stored = ReadStored(reader, reader.GetInt16(7));
            if (stored.TryRead() is { } command)
                commands.Add(new DueCommand(command, reader.IsDBNull(8) ? null : reader.GetString(8)));
            else
                unreadable.Add(stored);
        }
        return (commands, unreadable);
    }

    /// <summary>Makes commands due again that could not be published.</summary>
    public static async Task ReturnAsync(NpgsqlDataSource database, Guid[] ids, CancellationToken cancellationToken)
    {
        await using var update = database.CreateCommand(
            "update ledger.pending_commands set due_at = clock_timestamp(), relays = greatest(relays - 1, 0) where id = any ($1)");
        update.Parameters.Add(new() { Value = ids });
        await update.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>The number and age of pending commands, and the number of those that failed.</summary>
    public static async Task<PendingBacklog> BacklogAsync(NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var count = database.CreateCommand("""
            select count(*), coalesce(clock_timestamp() - min(recorded_at) filter (where failure is null), interval '0'), count(*) filter (where failure is not null)
            from ledger.pending_commands
            """);
        await using var reader = await count.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return new PendingBacklog(reader.GetInt64(0), reader.GetTimeSpan(1), reader.GetInt64(2));
    }

    /// <summary>A pending transaction from a row of <see cref="Columns"/>; of a command that this version cannot read, as much as can be known.</summary>
    public static Transaction Read(NpgsqlDataReader row) => ReadStored(row, Envelope.CurrentVersion).ToTransaction();

    internal static StoredCommand ReadStored(NpgsqlDataReader row, int version) => new(
        row.GetGuid(0), row.GetGuid(1), row.IsDBNull(2) ? null : row.GetGuid(2), version, row.GetString(3),
        row.IsDBNull(4) ? null : row.GetString(4), row.GetDateTime(5), row.GetString(6));

    private static NpgsqlBatchCommand InsertOf(StoredCommand command, TimeSpan dueIn, string onConflict) => new($"{Insert} {onConflict}")
    {
        Parameters =
        {
            new() { Value = command.Id },
            new() { Value = command.PrincipalId },
            new() { Value = command.OwnerId ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid },
            new() { Value = (short)command.Version },
            new() { Value = command.Kind },
            new() { Value = command.Currency ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
            new() { Value = command.CreatedAt, NpgsqlDbType = NpgsqlDbType.TimestampTz },
            new() { Value = command.Text, NpgsqlDbType = NpgsqlDbType.Json },
            new() { Value = dueIn, NpgsqlDbType = NpgsqlDbType.Interval },
        },
    };
}

/// <summary>A stored pending command: the fields that every version has, and its text, which this version may not know.</summary>
/// <param name="Text">JSON.</param>
public sealed record StoredCommand(
    Guid Id, Guid PrincipalId, Guid? OwnerId, int Version, string Kind, string? Currency, DateTime CreatedAt, string Text)
{
    public static StoredCommand Of(Command command) => new(
        command.Id, command.PrincipalId, command.OwnerId, Envelope.CurrentVersion, command.Kind.Name(), command.Currency, command.CreatedAt,
        JsonSerializer.Serialize(command, MessageJson.Default.Command));

    /// <summary>Reads the fields that a command of any version has; null if one is missing.</summary>
    public static StoredCommand? OfUnknown(JsonElement command, int version)
    {
        if (command.ValueKind != JsonValueKind.Object
            || !TryGetId(command, "id", out var id) || !TryGetId(command, "principalId", out var principal)
            || !command.TryGetProperty("kind", out var kind) || kind.ValueKind != JsonValueKind.String
            || !command.TryGetProperty("createdAt", out var created) || created.ValueKind != JsonValueKind.String || !created.TryGetDateTimeOffset(out var createdAt))
            return null;
        return new StoredCommand(
            id, principal, TryGetId(command, "ownerId", out var owner) ? owner : null, version, kind.GetString()!,
            null, createdAt.UtcDateTime, command.GetRawText());
    }

    /// <summary>Reads the command; null if this version cannot read it, or if its text differs from the fields.</summary>
    public Command? TryRead()
    {
        try
        {
            var command = JsonSerializer.Deserialize(Text, MessageJson.Default.Command);
            return command is not null && command.Id == Id && command.PrincipalId == PrincipalId && command.OwnerId == OwnerId && command.Kind.Name() == Kind
                ? command
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>The pending transaction; without amount and recipient if this version cannot read the command.</summary>
    public Transaction ToTransaction() => TryRead() is { } command
        ? Transaction.Pending(command)
        : new Transaction
        {
            Id = Id,
            Kind = Kind,
            Status = TransactionStatus.Pending,
            PrincipalId = PrincipalId,
            OwnerId = OwnerId,
            Amount = new Money(0, Currency ?? ""),
            CreatedAt = CreatedAt,
        };

    private static bool TryGetId(JsonElement command, string name, out Guid id)
    {
        id = default;
        return command.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String && value.TryGetGuid(out id);
    }
}

/// <summary>A pending command that the relay publishes.</summary>
/// <param name="ReplyTo">The reply queue of the API process that waits; null if none waits.</param>
public readonly record struct DueCommand(Command Command, string? ReplyTo);

/// <summary>Commands that wait to be decided.</summary>
/// <param name="OldestAge">Of those that have not failed.</param>
/// <param name="Failed">Those that could not be posted and wait for an operator.</param>
public sealed record PendingBacklog(long Count, TimeSpan OldestAge, long Failed);

/// <summary>An idempotency key that stands for another command.</summary>
/// <param name="SameRequest">Whether that command has the same meaning.</param>
public readonly record struct KeyConflict(Guid TransactionId, bool SameRequest);
