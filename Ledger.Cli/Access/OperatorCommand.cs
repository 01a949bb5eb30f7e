using System.CommandLine;
using Ledger.Core.Identity;
using Npgsql;
using Spectre.Console;

namespace Ledger.Cli.Access;

/// <summary><c>ledger operator create|list|revoke</c>: gives roles to users and takes them away, also the first and the last one.</summary>
internal static class OperatorCommand
{
    public static Command Create()
    {
        var email = new Option<string>("--email") { Description = "E-mail address of the user", HelpName = "address", Required = true };
        email.Validators.Add(result =>
        {
            if (result.Tokens is [var address] && !RegisteredEmail.IsEmail(address.Value))
                result.AddError("--email takes an e-mail address.");
        });
        var role = new Option<string>("--role") { Description = "The role", DefaultValueFactory = _ => Roles.Operator };
        role.AcceptOnlyFromAmong(Roles.Operator, Roles.Auditor);
        var create = new Command("create", "Grant a role to a user. An unknown user is registered with a random password, which is printed once.") { email, role };
        create.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(
            database => CreateAsync(database, result.GetValue(email)!, result.GetValue(role)!, cancellationToken)));
        var revoke = new Command("revoke", "Take a role away from a user. Every API process refuses it within seconds.") { email, role };
        revoke.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(
            database => RevokeAsync(database, result.GetValue(email)!, result.GetValue(role)!, cancellationToken)));
        var list = new Command("list", "List the users with roles.");
        list.SetAction((_, cancellationToken) => LedgerDatabase.UseAsync(database => ListAsync(database, cancellationToken)));
        return new Command("operator", "Manage the operators and auditors of the ledger.") { create, list, revoke };
    }

    private static async Task<int> CreateAsync(NpgsqlDataSource database, string email, string role, CancellationToken cancellationToken)
    {
        email = await RegisteredEmail.CanonicalAsync(database, email, cancellationToken);
        if (!RegisteredEmail.IsEmail(email))
        {
            await Console.Error.WriteLineAsync("ledger: --email takes an e-mail address.");
            return 2;
        }
        var key = RegisteredEmail.KeyOf(email);
        var password = Secrets.New("");
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using var register = new NpgsqlCommand("""
            insert into identity.users (id, user_name, normalized_user_name, email, normalized_email, email_confirmed, password_hash,
                security_stamp, concurrency_stamp, phone_number_confirmed, two_factor_enabled, lockout_enabled, access_failed_count)
            values ($1, $2, $3, $2, $3, false, $4, $5, $6, false, false, true, 0) on conflict do nothing
            """, connection, transaction)
        {
            Parameters =
            {
                new() { Value = Guid.CreateVersion7() },
                new() { Value = email },
                new() { Value = key },
                new() { Value = PasswordHashing.Create().HashPassword(new User(), password) },
                new() { Value = Guid.NewGuid().ToString() },
                new() { Value = Guid.NewGuid().ToString() },
            },
        };
        var isNew = await register.ExecuteNonQueryAsync(cancellationToken) == 1;

        await using var find = new NpgsqlCommand("select id from identity.users where normalized_email = $1", connection, transaction)
        {
            Parameters = { new() { Value = key } },
        };
        var id = (Guid)(await find.ExecuteScalarAsync(cancellationToken))!;
        await using var grant = new NpgsqlBatch(connection, transaction)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand("insert into identity.user_roles (user_id, role_id) select $1, id from identity.roles where name = $2 on conflict do nothing")
                {
                    Parameters = { new() { Value = id }, new() { Value = role } },
                },
                // The tokens of existing sessions lack the role.
                new NpgsqlBatchCommand("update identity.sessions set revoked_at = clock_timestamp() where user_id = $1 and revoked_at is null")
                {
                    Parameters = { new() { Value = id } },
                },
                AuditEntry.Insert(AuditActions.RoleGranted, id.ToString(), role),
            },
        };
        await grant.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);

        Console.WriteLine($"{email} is now {(role == Roles.Auditor ? "an auditor" : "an operator")}: user {id}.");
        if (isNew)
        {
            Console.WriteLine($"Password, shown only once: {password}");
            Console.WriteLine("POST /api/v1/identity/password changes the password.");
        }
        return 0;
    }

    private static async Task<int> RevokeAsync(NpgsqlDataSource database, string email, string role, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using var revoke = new NpgsqlCommand("""
            delete from identity.user_roles ur using identity.users u, identity.roles r
            where u.normalized_email = $1 and r.name = $2 and ur.user_id = u.id and ur.role_id = r.id returning u.id
            """, connection, transaction)
        {
            Parameters = { new() { Value = await RegisteredEmail.KeyAsync(database, email, cancellationToken) }, new() { Value = role } },
        };
        if (await revoke.ExecuteScalarAsync(cancellationToken) is not Guid user)
        {
            await Console.Error.WriteLineAsync($"ledger: {email} does not have the role {role}.");
            return 1;
        }
        await using var audit = new NpgsqlBatch(connection, transaction) { BatchCommands = { AuditEntry.Insert(AuditActions.RoleRevoked, user.ToString(), role) } };
        await audit.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        Console.WriteLine($"{email} does not have the role {role} any more: user {user}.");
        return 0;
    }

    private static async Task<int> ListAsync(NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("""
            select u.id, coalesce(u.email, '–'), string_agg(r.name, ', ' order by r.name)
            from identity.user_roles ur join identity.users u on u.id = ur.user_id join identity.roles r on r.id = ur.role_id
            group by u.id order by u.id
            """);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var table = new Table().AddColumns("User", "E-mail address", "Roles");
        while (await reader.ReadAsync(cancellationToken))
            table.AddRow(reader.GetGuid(0).ToString(), Markup.Escape(reader.GetString(1)), reader.GetString(2));
        Terminal.Output.Write(table);
        return 0;
    }
}
