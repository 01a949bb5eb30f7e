using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;

namespace Ledger.Cli;

/// <summary>The database of <c>ConnectionStrings__ledgerdb</c>, with the rights of the user in that connection string.</summary>
internal static class LedgerDatabase
{
    /// <summary>Builds a host whose services include <see cref="NpgsqlDataSource"/> and <see cref="LedgerDbContext"/>.</summary>
    /// <exception cref="ConfigurationException">The connection string is missing or malformed.</exception>
    public static IHost BuildHost()
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddEnvironmentVariables();
        builder.AddPostgres<LedgerDbContext>();
        return builder.Build();
    }

    /// <inheritdoc cref="BuildHost"/>
    /// <summary>Runs <paramref name="use"/> on the database and returns its exit code.</summary>
    public static async Task<int> UseAsync(Func<NpgsqlDataSource, Task<int>> use)
    {
        using var host = BuildHost();
        return await use(host.Services.GetRequiredService<NpgsqlDataSource>());
    }
}
