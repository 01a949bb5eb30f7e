using Npgsql;
using NpgsqlTypes;

namespace Ledger.Core.Identity;

/// <summary>What a service account, or a token of an external provider, allows. The names of <c>identity.services</c>.</summary>
public static class Scopes
{
    /// <summary>Reads any user's data and the feed.</summary>
    public const string Read = "read";
    /// <summary>Creates, changes and closes users.</summary>
    public const string Users = "users";
    /// <summary>Moves any user's money.</summary>
    public const string Transactions = "transactions";
    /// <summary>Manages webhooks.</summary>
    public const string Webhooks = "webhooks";

    /// <summary>Administers. Only in tokens of users with a role: no service account has it.</summary>
    public const string Admin = "admin";

    /// <summary>The scopes of service accounts.</summary>
    public static IReadOnlyList<string> All { get; } = [Read, Users, Transactions, Webhooks];
}

/// <summary>
/// Service accounts and their API keys, as statements for the transaction that also writes the audit entry. A statement that finds
/// nothing to change affects no row.
/// </summary>
public static class ServiceAccounts
{
    /// <summary>The largest number of characters of a name.</summary>
    public const int MaxName = 100;

    /// <summary>The days after which a key expires if its creator names none.</summary>
    public const int DefaultKeyDays = 90;

    /// <summary>The largest number of days after which a key expires.</summary>
    public const int MaxKeyDays = 3_650;

    /// <summary>Creates a service account. A name that exists, also of a closed one, is a unique violation.</summary>
    public static NpgsqlBatchCommand Create(Guid id, string name, string[] scopes) => new("insert into identity.services (id, name, scopes) values ($1, $2, $3)")
    {
        Parameters = { new() { Value = id }, new() { Value = name }, new() { Value = scopes } },
    };

    /// <summary>Closes a service account for good: all of its keys are refused within seconds.</summary>
    public static NpgsqlBatchCommand Close(Guid id) => new("update identity.services set closed_at = clock_timestamp() where id = $1 and closed_at is null")
    {
        Parameters = { new() { Value = id } },
    };

    /// <summary>Creates a key of a service account that is not closed, and returns when it expires.</summary>
    /// <param name="key">The key itself; the database gets its hash.</param>
    public static NpgsqlBatchCommand CreateKey(Guid id, Guid service, string key, int days) => new("""
        insert into identity.service_keys (id, service_id, hash, expires_at)
        select $1, s.id, $3, clock_timestamp() + $4 from identity.services s where s.id = $2 and s.closed_at is null
        returning expires_at
        """)
    {
        Parameters =
        {
            new() { Value = id }, new() { Value = service }, new() { Value = Secrets.Hash(key) },
            new() { Value = TimeSpan.FromDays(days), NpgsqlDbType = NpgsqlDbType.Interval },
        },
    };

    /// <summary>Revokes a key for good: it is refused within seconds.</summary>
    public static NpgsqlBatchCommand RevokeKey(Guid service, Guid id) => new(
        "update identity.service_keys set revoked_at = clock_timestamp() where id = $2 and service_id = $1 and revoked_at is null")
    {
        Parameters = { new() { Value = service }, new() { Value = id } },
    };

    /// <summary>Service accounts, the newest first, each with its keys.</summary>
    /// <param name="before">The id that the list starts behind; null for the first page.</param>
    public static async Task<IReadOnlyList<ServiceAccount>> ListAsync(NpgsqlDataSource database, Guid? before, int limit, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            select s.id, s.name, s.scopes, s.created_at, s.closed_at, k.id, k.created_at, k.expires_at, k.revoked_at, k.last_used_at
            from (
                select * from identity.services where $1::uuid is null or id < $1 order by id desc limit $2) s
            left join identity.service_keys k on k.service_id = s.id
            order by s.id desc, k.id
            """);
        command.Parameters.Add(new() { Value = before ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid });
        command.Parameters.Add(new() { Value = limit });
        var services = new List<ServiceAccount>();
        var keys = new List<ServiceKey>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            if (services.Count == 0 || services[^1].Id != reader.GetGuid(0))
            {
                services.Add(new ServiceAccount(
                    reader.GetGuid(0), reader.GetString(1), reader.GetFieldValue<string[]>(2), reader.GetDateTime(3), Time(4), keys = []));
            }
            if (!reader.IsDBNull(5))
                keys.Add(new ServiceKey(reader.GetGuid(5), reader.GetDateTime(6), reader.GetDateTime(7), Time(8), Time(9)));
        }
        return services;

        DateTime? Time(int column) => reader.IsDBNull(column) ? null : reader.GetDateTime(column);
    }
}

/// <summary>A service account: a backend that acts for users.</summary>
/// <param name="ClosedAt">When it was closed, for good; null while it is open.</param>
public sealed record ServiceAccount(
    Guid Id, string Name, IReadOnlyList<string> Scopes, DateTime CreatedAt, DateTime? ClosedAt, IReadOnlyList<ServiceKey> Keys);

/// <summary>An API key of a service account, without its secret.</summary>
/// <param name="LastUsedAt">When it was last used, to the minute.</param>
public sealed record ServiceKey(Guid Id, DateTime CreatedAt, DateTime ExpiresAt, DateTime? RevokedAt, DateTime? LastUsedAt);
