using System.CommandLine;
using System.Globalization;
using Ledger.Core.Identity;
using Npgsql;

namespace Ledger.Cli.Access;

/// <summary><c>ledger service create, list, close</c> and <c>ledger service key create, revoke</c>: service accounts and their API keys.</summary>
internal static class ServiceCommand
{
    private const int PageSize = 200;

    public static Command Create()
    {
        var name = new Option<string>("--name") { Description = $"Unique name, up to {ServiceAccounts.MaxName} characters", HelpName = "name", Required = true };
        name.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value.Length: 0 or > ServiceAccounts.MaxName }])
                result.AddError($"--name takes 1 to {ServiceAccounts.MaxName} characters.");
        });
        var scopes = new Option<string[]>("--scopes")
        {
            Description = $"What it may do, separated by commas: {string.Join(", ", Scopes.All)}",
            HelpName = "scopes",
            Required = true,
            CustomParser = result =>
            {
                var names = result.Tokens[0].Value.Split(',');
                if (names.FirstOrDefault(scope => !Scopes.All.Contains(scope)) is not { } unknown)
                    return [.. names.Distinct()];
                result.AddError($"--scopes takes {string.Join(", ", Scopes.All)}, separated by commas; \"{unknown}\" is not one of them.");
                return [];
            },
        };
        var create = new Command("create", "Create a service account. It has no key yet.") { name, scopes };
        create.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(database =>
            CreateAsync(database, result.GetValue(name)!, result.GetValue(scopes)!, cancellationToken)));

        var list = new Command("list", "List the service accounts and their keys, without the secrets.");
        list.SetAction((_, cancellationToken) => LedgerDatabase.UseAsync(database => ListAsync(database, cancellationToken)));

        var service = new Argument<string>("service") { Description = "Id or name of the service account" };
        var close = new Command("close", "Close a service account for good. The API refuses its keys within seconds.") { service };
        close.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(database => CloseAsync(database, result.GetValue(service)!, cancellationToken)));

        return new Command("service", "Manage service accounts: the backends that act for users.") { create, list, close, Keys() };
    }

    private static Command Keys()
    {
        var service = new Argument<string>("service") { Description = "Id or name of the service account" };
        var expires = new Option<int>("--expires")
        {
            Description = "Days until the key expires",
            HelpName = "days, such as 90d",
            DefaultValueFactory = _ => ServiceAccounts.DefaultKeyDays,
            CustomParser = result =>
            {
                if (int.TryParse(result.Tokens[0].Value.TrimEnd('d'), NumberStyles.None, CultureInfo.InvariantCulture, out var days) && days is >= 1 and <= ServiceAccounts.MaxKeyDays)
                    return days;
                result.AddError($"--expires takes days, 1d to {ServiceAccounts.MaxKeyDays}d.");
                return default;
            },
        };
        var create = new Command("create", "Create a key and print it. It cannot be printed again: the database stores its hash only.") { service, expires };
        create.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(database =>
            CreateKeyAsync(database, result.GetValue(service)!, result.GetValue(expires), cancellationToken)));

        var id = new Argument<Guid>("id") { Description = "Id of the key, as printed by ledger service list" };
        var revoke = new Command("revoke", "Revoke a key for good. The API refuses it within seconds.") { id };
        revoke.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(database => RevokeKeyAsync(database, result.GetValue(id), cancellationToken)));

        return new Command("key", "Manage the API keys of service accounts (Authorization: Bearer lk_…).") { create, revoke };
    }

    private static async Task<int> CreateAsync(NpgsqlDataSource database, string name, string[] scopes, CancellationToken cancellationToken)
    {
        var id = Guid.CreateVersion7();
        try
        {
            await ChangeAsync(
                database, ServiceAccounts.Create(id, name, scopes), AuditEntry.Insert(AuditActions.ServiceCreated, id.ToString(), $"{name}: {string.Join(' ', scopes)}"),
                cancellationToken);
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UniqueViolation)
        {
            return await FailAsync($"a service account {name} exists.");
        }
        Console.WriteLine($"Service account {id}, {string.Join(' ', scopes)}.");
        return 0;
    }

    private static async Task<int> ListAsync(NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        Guid? before = null;
        IReadOnlyList<ServiceAccount> page;
        do
        {
            page = await ServiceAccounts.ListAsync(database, before, PageSize, cancellationToken);
            foreach (var service in page)
            {
                before = service.Id;
                // Not a table: two ids and a name do not fit into a line of it.
                Console.WriteLine($"{service.Id} {(service.ClosedAt is null ? "open" : "closed")}, {string.Join(' ', service.Scopes)}: {service.Name}");
                foreach (var key in service.Keys)
                    Console.WriteLine($"  key {key.Id} {StateOf(service, key)}, created {Date(key.CreatedAt)}, expires {Date(key.ExpiresAt)}, last used {Date(key.LastUsedAt)}");
            }
        }
        while (page.Count == PageSize);
        return 0;
    }

    private static string StateOf(ServiceAccount service, ServiceKey key) =>
        key.RevokedAt is not null ? "revoked" : key.ExpiresAt <= DateTime.UtcNow ? "expired" : service.ClosedAt is not null ? "closed" : "good";

    private static async Task<int> CloseAsync(NpgsqlDataSource database, string service, CancellationToken cancellationToken)
    {
        if (await FindAsync(database, "select id from identity.services where (id::text = $1 or name = $1) and closed_at is null", service, cancellationToken) is not { } id
            || !await ChangeAsync(database, ServiceAccounts.Close(id), AuditEntry.Insert(AuditActions.ServiceClosed, id.ToString(), service), cancellationToken))
            return await FailAsync($"service account {service} does not exist or is already closed.");
        Console.WriteLine($"Service account {id} is closed.");
        return 0;
    }

    private static async Task<int> CreateKeyAsync(NpgsqlDataSource database, string service, int days, CancellationToken cancellationToken)
    {
        var id = Guid.CreateVersion7();
        var key = Secrets.New(ApiKey.Prefix);
        if (await FindAsync(database, "select id from identity.services where (id::text = $1 or name = $1) and closed_at is null", service, cancellationToken) is not { } account
            || !await ChangeAsync(
                database, ServiceAccounts.CreateKey(id, account, key, days), AuditEntry.Insert(AuditActions.ServiceKeyCreated, account.ToString(), $"key {id}, {days} days"),
                cancellationToken))
            return await FailAsync($"service account {service} does not exist or is closed.");
        Console.WriteLine($"Key {id} of service account {account}, valid for {days} days. It is shown only once:");
        Console.WriteLine(key);
        return 0;
    }

    private static async Task<int> RevokeKeyAsync(NpgsqlDataSource database, Guid id, CancellationToken cancellationToken)
    {
        if (await FindAsync(database, "select service_id from identity.service_keys where id::text = $1", id.ToString(), cancellationToken) is not { } account
            || !await ChangeAsync(
                database, ServiceAccounts.RevokeKey(account, id), AuditEntry.Insert(AuditActions.ServiceKeyRevoked, account.ToString(), $"key {id}"), cancellationToken))
            return await FailAsync($"key {id} does not exist or is already revoked.");
        Console.WriteLine($"Key {id} is revoked.");
        return 0;
    }

    private static async Task<Guid?> FindAsync(NpgsqlDataSource database, string sql, string text, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand(sql);
        command.Parameters.Add(new() { Value = text });
        return await command.ExecuteScalarAsync(cancellationToken) as Guid?;
    }

    /// <summary>Runs a change, and its audit entry if a row was changed, in one transaction.</summary>
    private static async Task<bool> ChangeAsync(NpgsqlDataSource database, NpgsqlBatchCommand change, NpgsqlBatchCommand entry, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using (var batch = new NpgsqlBatch(connection, transaction) { BatchCommands = { change } })
            await batch.ExecuteNonQueryAsync(cancellationToken);
        if (change.RecordsAffected == 0)
            return false;
        await using (var audit = new NpgsqlBatch(connection, transaction) { BatchCommands = { entry } })
            await audit.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return true;
    }

    private static async Task<int> FailAsync(string reason)
    {
        await Console.Error.WriteLineAsync($"ledger: {reason}");
        return 1;
    }

    private static string Date(DateTime? time) => time?.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture) ?? "never";
}
