using Ledger.Core.Persistence;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Cli;

/// <summary><c>ledger migrate</c>, each test on its own database.</summary>
public sealed class MigrationTests(LedgerSystem system)
{
    [Fact]
    public async Task Concurrent_and_repeated_migrations_end_with_one_schema()
    {
        var address = await system.FreshDatabaseAsync();

        var atOnce = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => MigrateAsync(address)));
        var later = await MigrateAsync(address);

        Assert.All(atOnce.Append(later), run => Assert.True(run.ExitCode == 0, string.Join('\n', run.Output.Concat(run.Errors))));
        await using var database = NpgsqlDataSource.Create(address);
        // Each migration was recorded once.
        Assert.Equal(
            await Books.TextsAsync(await system.DatabaseAsync(), """select "MigrationId" from "__EFMigrationsHistory" order by 1"""),
            await Books.TextsAsync(database, """select "MigrationId" from "__EFMigrationsHistory" order by 1"""));
        Assert.Equal(5, await Books.NumberAsync(database, "select count(*) from ledger.currencies where enabled and code in ('USD', 'EUR', 'GBP', 'JPY', 'RUB')"));
        Assert.Equal(0, await Books.NumberAsync(database, "select count(*) from (select 1 from ledger.accounts group by currency, kind having count(*) <> 16) c"));
    }

    /// <summary>The database of CloudNativePG: the roles exist, its owner cannot create any, and a schema has the owner's name.</summary>
    [Fact]
    public async Task An_owner_without_the_right_to_create_roles_and_with_a_schema_of_its_name_migrates()
    {
        var (owner, password) = ($"owner_{Guid.NewGuid():N}", Guid.NewGuid().ToString("N"));
        var connection = new NpgsqlConnectionStringBuilder(await system.FreshDatabaseAsync());
        await using (var superuser = NpgsqlDataSource.Create(connection.ConnectionString))
        {
            await Books.ExecuteAsync(superuser, $"create role {owner} login password '{password}'");
            await Books.ExecuteAsync(superuser, $"grant {DatabaseRoles.Api}, {DatabaseRoles.Worker} to {owner}");
            await Books.ExecuteAsync(superuser, $"alter database {connection.Database} owner to {owner}");
            await Books.ExecuteAsync(superuser, $"create schema authorization {owner}");
        }
        (connection.Username, connection.Password) = (owner, password);

        var migrated = await MigrateAsync(connection.ConnectionString);
        var after = await MigrateAsync(connection.ConnectionString, "--check");

        Assert.True(migrated.ExitCode == 0, string.Join('\n', migrated.Output.Concat(migrated.Errors)));
        Assert.Equal(0, after.ExitCode);
        await using var database = NpgsqlDataSource.Create(connection.ConnectionString);
        Assert.Equal(["public"], await Books.TextsAsync(database, "select schemaname::text from pg_tables where tablename = '__EFMigrationsHistory'"));
    }

    [Fact]
    public async Task A_migration_without_PostgreSQL_fails()
    {
        var (exitCode, output, errors) = await MigrateAsync("Host=127.0.0.1;Port=1;Username=u;Password=p;Database=d");
        Assert.NotEqual(0, exitCode);
        Assert.NotEmpty(output.Concat(errors));
    }

    [Fact]
    public async Task A_check_reports_whether_the_schema_is_up_to_date_and_applies_nothing()
    {
        var address = await system.FreshDatabaseAsync();

        var before = await MigrateAsync(address, "--check");
        var again = await MigrateAsync(address, "--check");
        var migrated = await MigrateAsync(address);
        var after = await MigrateAsync(address, "--check");

        Assert.Equal([1, 1, 0, 0], [before.ExitCode, again.ExitCode, migrated.ExitCode, after.ExitCode]);
        Assert.StartsWith("Not applied: ", Assert.Single(again.Output), StringComparison.Ordinal);
        Assert.Equal("The schema is up to date.", Assert.Single(after.Output));
    }

    [Fact]
    public async Task A_check_that_waits_ends_once_another_process_has_created_and_migrated_the_database()
    {
        var address = new NpgsqlConnectionStringBuilder(await system.ConnectionStringAsync()) { Database = $"migration_{Guid.NewGuid():N}", Pooling = false }.ConnectionString;

        var waiting = MigrateAsync(address, "--check", "--wait", "1m");
        var migrated = await MigrateAsync(address, "--wait", "1m");

        Assert.True(migrated.ExitCode == 0, string.Join('\n', migrated.Output.Concat(migrated.Errors)));
        var waited = await waiting;
        Assert.True(waited.ExitCode == 0, string.Join('\n', waited.Output.Concat(waited.Errors)));
        Assert.Equal("The schema is up to date.", waited.Output[^1]);
    }

    [Fact]
    public async Task A_check_that_waits_in_vain_for_PostgreSQL_ends_with_exit_code_2_and_its_address()
    {
        var (exitCode, _, errors) = await MigrateAsync("Host=127.0.0.1;Port=1;Username=u;Password=p;Database=d", "--check", "--wait", "1500ms");

        Assert.Equal(2, exitCode);
        Assert.Contains("127.0.0.1:1", Assert.Single(errors), StringComparison.Ordinal);
    }

    private static Task<(int ExitCode, string[] Output, string[] Errors)> MigrateAsync(string address, params string[] arguments) =>
        Tool.RunAsync("ledger", ["migrate", .. arguments], new Dictionary<string, string?> { ["ConnectionStrings__ledgerdb"] = address });
}
