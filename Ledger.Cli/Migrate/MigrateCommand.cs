using System.CommandLine;
using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using Ledger.Core.Persistence;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;
using Microsoft.EntityFrameworkCore.Storage;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Ledger.Cli.Migrate;

/// <summary>
/// <c>ledger migrate</c>: migrates the database to the schema of this version, one process at a time. With <c>--check</c> it only
/// reports whether the schema is up to date, for services that must not start earlier.
/// </summary>
internal static class MigrateCommand
{
    // The key of an advisory lock that nothing else in this database uses.
    private const long Lock = 0x4C6564676572;

    private static readonly TimeSpan s_again = TimeSpan.FromSeconds(1);

    public static Command Create()
    {
        var check = new Option<bool>("--check") { Description = "Apply nothing. Exit code 0 if the schema is up to date, 1 if not." };
        var wait = Options.Duration(
            "--wait", "How long to retry while PostgreSQL is unreachable or, with --check, the schema is not up to date.", TimeSpan.Zero);
        var command = new Command("migrate", "Migrate the database to the schema of this version. Safe to run repeatedly and concurrently.") { check, wait };
        command.SetAction((arguments, cancellationToken) => RunAsync(arguments.GetValue(check), arguments.GetValue(wait), cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(bool check, TimeSpan wait, CancellationToken cancellationToken)
    {
        using var host = LedgerDatabase.BuildHost();
        await using var scope = host.Services.CreateAsyncScope();
        var database = scope.ServiceProvider.GetRequiredService<LedgerDbContext>().Database;

        var start = Stopwatch.GetTimestamp();
        string? lastReason = null;
        while (true)
        {
            var isLast = Stopwatch.GetElapsedTime(start) >= wait;
            var (isDone, message) = await TryAsync(database, check, mayFail: isLast, cancellationToken);
            if (isDone || isLast)
            {
                Console.WriteLine(message);
                return isDone ? 0 : 1;
            }
            if (message != lastReason)
                Console.WriteLine($"{message} Waiting.");
            lastReason = message;
            await Task.Delay(s_again, cancellationToken);
        }
    }

    private static async Task<(bool IsDone, string Message)> TryAsync(DatabaseFacade database, bool check, bool mayFail, CancellationToken cancellationToken)
    {
        try
        {
            if (!check)
            {
                await LockAsync(database, cancellationToken);
                // Entity Framework would read a history that does not exist yet, which PostgreSQL logs as an error.
                await database.GetService<IHistoryRepository>().CreateIfNotExistsAsync(cancellationToken);
            }
            var pending = (await database.GetPendingMigrationsAsync(cancellationToken)).ToList();
            if (pending.Count == 0)
                return (true, "The schema is up to date.");
            if (check)
                return (false, $"Not applied: {string.Join(", ", pending)}.");
            await database.MigrateAsync(cancellationToken);
            return (true, $"Applied {string.Join(", ", pending)}.");
        }
        catch (Exception e) when (Absence(e) is { } absence)
        {
            // Without the exceptions that Entity Framework wrapped around it.
            if (mayFail)
                ExceptionDispatchInfo.Throw(absence);
            return (false, $"PostgreSQL cannot be reached: {absence.Message.ReplaceLineEndings(" ")}.");
        }
        finally
        {
            await database.CloseConnectionAsync();
        }
    }

    // Entity Framework releases its own lock after each migration, so a waiting process would apply the same migrations again.
    // This session lock covers the query for pending migrations as well.
    private static async Task LockAsync(DatabaseFacade database, CancellationToken cancellationToken)
    {
        var creator = database.GetService<IRelationalDatabaseCreator>();
        if (!await creator.ExistsAsync(cancellationToken))
            await creator.CreateAsync(cancellationToken);
        await database.OpenConnectionAsync(cancellationToken);
        await database.ExecuteSqlAsync($"select pg_advisory_lock({Lock})", cancellationToken);
    }

    /// <summary>The inner error if PostgreSQL or the database does not exist yet; null for other errors, such as a wrong password.</summary>
    private static Exception? Absence(Exception? e) => e switch
    {
        null => null,
        PostgresException { IsTransient: false, SqlState: not PostgresErrorCodes.InvalidCatalogName } => null,
        NpgsqlException or SocketException => e,
        _ => Absence(e.InnerException),
    };
}
