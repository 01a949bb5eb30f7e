using System.CommandLine;
using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Ledger.Cli.Migrate;

/// <summary><c>ledger migrate</c>: brings the database to this version's schema, under Entity Framework's lock.</summary>
internal static class MigrateCommand
{
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
        var pending = (await database.GetPendingMigrationsAsync(cancellationToken)).ToList();
        await database.MigrateAsync(cancellationToken);
        Console.WriteLine(pending.Count == 0 ? "The schema is up to date." : $"Applied {string.Join(", ", pending)}.");
        return 0;
    }
}
