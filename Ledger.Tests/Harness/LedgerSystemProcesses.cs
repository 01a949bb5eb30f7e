using Ledger.LocalHost;
using Ledger.LocalHost.Processes;
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
            [.. system.Apis.Concat(system.Workers).Select(service => service.Metrics!)],
            system.PostgresConnectionString,
            NpgsqlDataSource.Create(system.PostgresConnectionString),
            new Uri(system.RabbitMqConnectionString),
            () => LogsOf(system));
    }

    /// <summary>One more API of the same system, with options of its own. The test disposes of the client; the process ends with the system.</summary>
    internal async Task<LedgerApi> StartApiAsync(params (string Option, string Value)[] environment) =>
        new((await StartApiProcessAsync(environment)).Address!);

    /// <summary>The same, for a test that needs more of the process than what it answers.</summary>
    internal async Task<LocalProcess> StartApiProcessAsync(params (string Option, string Value)[] environment)
    {
        using var deadline = new CancellationTokenSource(StartTimeout);
        return await ((LocalSystem)(await _running.Value).System).AddApiAsync(environment.ToDictionary(e => e.Option, e => e.Value), deadline.Token);
    }

    /// <summary>One more worker of the same system, with options of its own. It ends with the system, unless the test stops it.</summary>
    internal async Task<LocalProcess> StartWorkerProcessAsync(params (string Option, string Value)[] environment)
    {
        using var deadline = new CancellationTokenSource(StartTimeout);
        return await ((LocalSystem)(await _running.Value).System).AddWorkerAsync(environment.ToDictionary(e => e.Option, e => e.Value), deadline.Token);
    }

    /// <summary>What an operator does with <c>rabbitmqctl</c>.</summary>
    internal async Task ControlRabbitMqAsync(params string[] arguments)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var (exitCode, output) = await ((LocalSystem)(await _running.Value).System).RunRabbitMqControlAsync(arguments, patience.Token);
        Assert.True(exitCode == 0, string.Join('\n', output));
    }

    /// <summary>Where the system keeps its data.</summary>
    internal async Task<string> DataDirectoryAsync() => ((LocalSystem)(await _running.Value).System).DataDirectory;

    /// <summary>Runs the <c>ledger</c> tool against the system.</summary>
    internal async Task<(int ExitCode, IReadOnlyList<string> Output)> CliAsync(params string[] arguments)
    {
        using var deadline = new CancellationTokenSource(StartTimeout);
        return await ((LocalSystem)(await _running.Value).System).RunCliAsync(arguments, deadline.Token);
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
