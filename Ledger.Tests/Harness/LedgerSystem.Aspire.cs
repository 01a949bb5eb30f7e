using Ledger.Tests.Aspire;
using Npgsql;

namespace Ledger.Tests.Harness;

public sealed partial class LedgerSystem
{
    private static async Task<Running> StartAsync()
    {
        var system = new AspireSystem();
        await system.InitializeAsync();
        // One address stands before all API processes; two clients of it are two clients of the ledger all the same.
        return new Running(
            system,
            [new LedgerApi(system.ApiAddress), new LedgerApi(system.ApiAddress)],
            system.MetricsAddresses,
            system.PostgresConnectionString,
            NpgsqlDataSource.Create(system.PostgresConnectionString),
            new Uri(system.RabbitMqConnectionString),
            () => []);
    }
}
