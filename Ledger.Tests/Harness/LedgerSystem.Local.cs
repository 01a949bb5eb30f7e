using Ledger.LocalHost;
using Npgsql;

namespace Ledger.Tests.Harness;

public sealed partial class LedgerSystem
{
    private static readonly TimeSpan StartTimeout = TimeSpan.FromMinutes(4);

    private static async Task<Running> StartAsync()
    {
        using var deadline = new CancellationTokenSource(StartTimeout);
        var system = await LocalSystem.StartAsync(
            LocalSystemOptions.ForTests with
            {
                Apis = 2,
                Workers = 2,
                Environment = new Dictionary<string, string> { ["Ledger__Identity__PasswordIterations"] = CheapPasswords },
            },
            deadline.Token);
        return new Running(
            system,
            [.. system.Apis.Select(api => new LedgerApi(api.Address!))],
            system.PostgresConnectionString,
            NpgsqlDataSource.Create(system.PostgresConnectionString),
            new Uri(system.RabbitMqConnectionString),
            () => LogsOf(system));
    }

    /// <summary>The last lines of each process.</summary>
    internal static IEnumerable<string> LogsOf(LocalSystem system)
    {
        const int Lines = 60;
        // The frames of the framework and of the drivers, of which each exception has dozens, would push out everything else.
        static bool IsOfInterest(string line) => !line.StartsWith("         at ", StringComparison.Ordinal) || line.Contains("at Ledger.", StringComparison.Ordinal);
        return system.Apis.Concat(system.Workers).Append(system.RabbitMq).Append(system.Postgres)
            .SelectMany(process => process.Tail(2000).Where(IsOfInterest).TakeLast(Lines).Select(line => $"{process.Name,-9} | {line}"));
    }
}
