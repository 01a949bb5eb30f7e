using System.CommandLine;
using System.Globalization;
using Ledger.Core.Identity;
using Npgsql;
using NpgsqlTypes;
using Spectre.Console;

namespace Ledger.Cli.Access;

/// <summary><c>ledger api-key create, list, revoke</c>: the credentials of other servers.</summary>
internal static class ApiKeyCommand
{
    private const int MaxDays = 3_650;

    public static Command Create()
    {
        var role = new Option<string>("--role") { Description = "Rights of the key: an operator acts and reads, an auditor reads", Required = true };
        role.AcceptOnlyFromAmong(Roles.Operator, Roles.Auditor);
        var name = new Option<string>("--name") { Description = "Name of the service that uses the key, up to 100 characters; its keys share idempotency keys", HelpName = "name", Required = true };
        name.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value.Length: 0 or > 100 }])
                result.AddError("--name takes 1 to 100 characters.");
        });
        var expires = new Option<int>("--expires")
        {
            Description = "Days until the key expires",
            HelpName = "days, such as 90d",
            DefaultValueFactory = _ => 90,
            CustomParser = result =>
            {
                if (int.TryParse(result.Tokens[0].Value.TrimEnd('d'), NumberStyles.None, CultureInfo.InvariantCulture, out var days) && days is >= 1 and <= MaxDays)
                    return days;
                result.AddError($"--expires takes days, 1d to {MaxDays}d.");
                return default;
            },
        };
        var create = new Command("create", "Create a key and print it. It cannot be printed again: the database stores its hash only.") { role, name, expires };
        create.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(database => CreateAsync(
            database, result.GetValue(role)!, result.GetValue(name)!, result.GetValue(expires), cancellationToken)));

        var list = new Command("list", "List the keys without their secrets.");
        list.SetAction((_, cancellationToken) => LedgerDatabase.UseAsync(database => ListAsync(database, cancellationToken)));

        var id = new Argument<Guid>("id") { Description = "Id of the key, as printed by list" };
        var revoke = new Command("revoke", "Revoke a key. The API refuses it within seconds.") { id };
        revoke.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(database => RevokeAsync(database, result.GetValue(id), cancellationToken)));

        return new Command("api-key", "Manage the API keys of other servers (Authorization: Bearer lk_…).") { create, list, revoke };
    }

    private static async Task<int> CreateAsync(NpgsqlDataSource database, string role, string name, int days, CancellationToken cancellationToken)
    {
        var id = Guid.CreateVersion7();
        var key = Secrets.New(ApiKey.Prefix);
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand("""
            with service as (
                insert into identity.services as s (id, name, role) values ($2, $3, $4)
                on conflict (name) do update set role = excluded.role where s.role = excluded.role
                returning id)
            insert into identity.service_keys (id, service_id, hash, expires_at) values ($1, (select id from service), $5, clock_timestamp() + $6)
            """)
        {
            Parameters =
            {
                new() { Value = id }, new() { Value = Guid.CreateVersion7() }, new() { Value = name }, new() { Value = role }, new() { Value = Secrets.Hash(key) },
                new() { Value = TimeSpan.FromDays(days), NpgsqlDbType = NpgsqlDbType.Interval },
            },
        });
        batch.BatchCommands.Add(AuditEntry.Insert(AuditActions.ApiKeyCreated, id.ToString(), $"{role}: {name}"));
        try
        {
            await batch.ExecuteNonQueryAsync(cancellationToken);
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.NotNullViolation)
        {
            await Console.Error.WriteLineAsync($"ledger: service {name} has another role than {role}.");
            return 1;
        }
        Console.WriteLine($"Key {id}, {role}, valid for {days} days. It is shown only once:");
        Console.WriteLine(key);
        return 0;
    }

    private static async Task<int> ListAsync(NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            select k.id, s.name, s.role, k.created_at, k.expires_at, k.last_used_at,
                case when k.revoked_at is not null then 'revoked' when k.expires_at <= clock_timestamp() then 'expired' else 'good' end
            from identity.service_keys k join identity.services s on s.id = k.service_id order by k.id
            """);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var table = new Table().AddColumns("Id", "Name", "Role", "Created", "Expires", "Last used", "State");
        while (await reader.ReadAsync(cancellationToken))
        {
            table.AddRow(
                reader.GetGuid(0).ToString(), Markup.Escape(reader.GetString(1)), reader.GetString(2), Date(reader, 3), Date(reader, 4), Date(reader, 5),
                reader.GetString(6));
        }
        Terminal.Output.Write(table);
        return 0;
    }

    private static async Task<int> RevokeAsync(NpgsqlDataSource database, Guid id, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using var revoke = new NpgsqlCommand(
            "update identity.service_keys set revoked_at = clock_timestamp() where id = $1 and revoked_at is null", connection, transaction)
        {
            Parameters = { new() { Value = id } },
        };
        if (await revoke.ExecuteNonQueryAsync(cancellationToken) == 0)
        {
            await Console.Error.WriteLineAsync($"ledger: key {id} does not exist or is already revoked.");
            return 1;
        }
        await using var audit = new NpgsqlBatch(connection, transaction) { BatchCommands = { AuditEntry.Insert(AuditActions.ApiKeyRevoked, id.ToString(), "") } };
        await audit.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        Console.WriteLine($"Key {id} is revoked.");
        return 0;
    }

    private static string Date(NpgsqlDataReader row, int column) =>
        row.IsDBNull(column) ? "never" : row.GetDateTime(column).ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture);
}
