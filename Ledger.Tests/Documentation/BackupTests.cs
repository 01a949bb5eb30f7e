using System.Globalization;
using System.Text.RegularExpressions;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Documentation;

/// <summary>The commands of <c>docs/operations.md</c>, word for word, against a PostgreSQL that is being written to.</summary>
public sealed partial class BackupTests(LedgerSystem system)
{
    [Fact]
    public async Task A_backup_that_is_taken_under_writes_is_restored_and_every_rule_holds_in_it()
    {
        var token = TestContext.Current.CancellationToken;
        var database = await system.DatabaseAsync();
        var connectionString = await system.ConnectionStringAsync();
        var payer = await system.NewUserAsync("1000.00");
        var payee = await system.NewUserAsync();
        var folder = Directory.CreateTempSubdirectory("ledger-backup-");
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(token);
        try
        {
            var transfers = 0;
            var writes = WriteAsync();
            await Eventually.TrueAsync(() => Task.FromResult(Volatile.Read(ref transfers) > 0 || writes.IsCompleted));

            await RunAsync("backup");
            await enough.CancelAsync();
            await writes;
            Assert.True(transfers > 1, "Nothing was written during the backup.");
            await RunAsync("restore");
            var verification = await RunAsync("verify");

            Assert.Contains("every rule holds", verification, StringComparison.Ordinal);
            await using var restored = NpgsqlDataSource.Create(
                new NpgsqlConnectionStringBuilder(connectionString) { Database = "ledgerdb_restored", Pooling = false }.ConnectionString);
            Assert.InRange(await CountAsync(restored), 1, await CountAsync(database));

            async Task WriteAsync()
            {
                while (!enough.IsCancellationRequested)
                {
                    (await payer.TransferAsync(payee, "0.01")).MustBe(201);
                    Interlocked.Increment(ref transfers);
                }
            }
        }
        finally
        {
            await enough.CancelAsync();
            folder.Delete(recursive: true);
            await using var drop = database.CreateCommand("drop database if exists ledgerdb_restored with (force)");
            await drop.ExecuteNonQueryAsync(CancellationToken.None);
        }

        async Task<string> RunAsync(string name)
        {
            var server = new NpgsqlConnectionStringBuilder(connectionString);
            var version = await ServerVersionAsync(database);
            Assert.SkipUnless(
                Directory.Exists("/usr/lib/postgresql") is false || File.Exists($"/usr/lib/postgresql/{version}/bin/pg_dump"), $"pg_dump of PostgreSQL {version} is not installed.");
            var (exitCode, output, errors) = await Repository.RunAsync(
                "bash",
                ["-euo", "pipefail", "-c", $"ledger() {{ dotnet '{AppContext.BaseDirectory}ledger.dll' \"$@\"; }}\n{Commands(name)}"],
                new Dictionary<string, string>
                {
                    ["PGHOST"] = server.Host!,
                    ["PGPORT"] = server.Port.ToString(CultureInfo.InvariantCulture),
                    ["PGUSER"] = server.Username!,
                    ["PGPASSWORD"] = server.Password!,
                    ["dump"] = Path.Combine(folder.FullName, "ledger.dump"),
                    // PostgreSQL's programs refuse a server that is newer than they are.
                    ["PATH"] = $"/usr/lib/postgresql/{version}/bin:{Environment.GetEnvironmentVariable("PATH")}",
                });
            Assert.True(exitCode == 0, $"{name} ended with {exitCode}:\n{output}\n{errors}");
            return output;
        }
    }

    /// <summary>A block of the document that begins with <c>```bash name</c>.</summary>
    private static string Commands(string name) =>
        Block().Matches(Repository.Read("docs/operations.md")).Single(match => match.Groups["name"].Value == name).Groups["commands"].Value;

    private static async Task<int> ServerVersionAsync(NpgsqlDataSource database)
    {
        await using var connection = await database.OpenConnectionAsync(TestContext.Current.CancellationToken);
        return connection.PostgreSqlVersion.Major;
    }

    private static async Task<long> CountAsync(NpgsqlDataSource database)
    {
        await using var command = database.CreateCommand("select count(*) from ledger.transactions");
        return (long)(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken))!;
    }

    [GeneratedRegex(@"^```bash (?<name>\w+)\n(?<commands>.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Block();
}
