using System.CommandLine;
using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Storage;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Ledger.Cli.Migrate;

/// <summary><c>ledger migrate</c>: brings the database to this version's schema, one process at a time.</summary>
internal static class MigrateCommand
{
    // Any number that nobody else takes in this database.
    private const long Lock = 0x4C6564676572;

    public static Command Create()
    {
        var command = new Command("migrate", "Bring the database to this version's schema. Safe to run twice, and from two places at once.");
        command.SetAction((_, cancellationToken) => RunAsync(cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddEnvironmentVariables();
        builder.AddPostgres<LedgerDbContext>();
        using var host = builder.Build();
        await using var scope = host.Services.CreateAsyncScope();
        var database = scope.ServiceProvider.GetRequiredService<LedgerDbContext>().Database;

        // Entity Framework's own lock ends with each migration: a second process that waited for it then runs what the first has
        // just applied. This one, the session's, spans the look at what is applied and all that follows from it.
        var creator = database.GetService<IRelationalDatabaseCreator>();
        if (!await creator.ExistsAsync(cancellationToken))
            await creator.CreateAsync(cancellationToken);
        await database.OpenConnectionAsync(cancellationToken);
        await database.ExecuteSqlAsync($"select pg_advisory_lock({Lock})", cancellationToken);

        var pending = (await database.GetPendingMigrationsAsync(cancellationToken)).ToList();
        await database.MigrateAsync(cancellationToken);
        Console.WriteLine(pending.Count == 0 ? "The schema is up to date." : $"Applied {string.Join(", ", pending)}.");
        return 0;
    }
}
