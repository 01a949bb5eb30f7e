using System.CommandLine;
using Ledger.Core.Identity;
using Npgsql;

namespace Ledger.Cli.Access;

/// <summary><c>ledger operator create</c>: creates the first operator, which the API cannot do.</summary>
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
        var role = new Option<string>("--role") { Description = "Role to grant", DefaultValueFactory = _ => Roles.Operator };
        role.AcceptOnlyFromAmong(Roles.Operator, Roles.Auditor);
        var create = new Command("create", "Grant a role to a user. An unknown user is registered with a random password, which is printed once.") { email, role };
        create.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(
            database => CreateAsync(database, result.GetValue(email)!, result.GetValue(role)!, cancellationToken)));
        return new Command("operator", "Manage the operators of the ledger.") { create };
    }

    private static async Task<int> CreateAsync(NpgsqlDataSource database, string email, string role, CancellationToken cancellationToken)
    {
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
                new() { Value = RegisteredEmail.Normalize(email) },
                new() { Value = PasswordHashing.Create().HashPassword(new User(), password) },
                new() { Value = Guid.NewGuid().ToString() },
                new() { Value = Guid.NewGuid().ToString() },
            },
        };
        var isNew = await register.ExecuteNonQueryAsync(cancellationToken) == 1;

        await using var find = new NpgsqlCommand("select id from identity.users where normalized_email = $1", connection, transaction)
        {
            Parameters = { new() { Value = RegisteredEmail.Normalize(email) } },
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
}
