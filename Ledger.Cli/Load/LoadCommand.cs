using System.CommandLine;
using Ledger.Core.Identity;
using Ledger.ServiceDefaults;

namespace Ledger.Cli.Load;

/// <summary><c>ledger load</c>: sends a mix of requests on a schedule and checks each answer.</summary>
internal static class LoadCommand
{
    private const string DefaultApiKeyVariable = "LEDGER_API_KEY";
    private const string PasswordVariable = "LEDGER_OPERATOR_PASSWORD";

    public static Command Create()
    {
        var url = Options.Addresses("--url", "Address of an API. Requests go to several APIs in turn");
        var rate = Options.Number("--rate", "Requests per second", 100.0, 0.01, 100_000);
        var duration = Options.Duration("--duration", "How long to send", TimeSpan.FromSeconds(30));
        var users = Options.Number("--users", "Users to register", 20, 2, 10_000);
        var seed = new Option<int?>("--seed") { Description = "Seed of the random choices, to repeat a run as far as it does not depend on the answers", HelpName = "number" };
        var connections = Options.Number("--connections", "Maximum number of TCP connections to each API", 128, 1, 10_000);
        var inFlight = Options.Number("--max-in-flight", "Maximum number of requests in flight. Beyond it, starts are delayed and count as missed", 2_000, 1, 100_000);
        var tolerate = new Option<bool>("--tolerate-outage") { Description = "Retry lost connections and 502 to 504 with the same idempotency key until they are answered. Missed starts are then not a failure" };
        var giveUp = Options.Duration("--give-up-after", "How long to retry a request, or to poll a command that was answered 202", TimeSpan.FromMinutes(2));
        var apiKey = new Option<string?>("--api-key-variable")
        {
            Description = $"Environment variable with an API key of a service account with scope transactions, which sends deposits, exchanges and reversals [default: {DefaultApiKeyVariable}, if set]",
            HelpName = "name",
        };
        var operatorEmail = new Option<string?>("--operator")
        {
            Description = $"E-mail address of an operator, who opens house accounts for journals and sets credit limits. Its password is in {PasswordVariable}",
            HelpName = "address",
        };
        var currencies = new Option<string[]>("--currency")
        {
            Description = "Code of a currency to use; may be repeated. With --operator, no other client may exchange in it during the run [default: all that are enabled]",
            DefaultValueFactory = _ => [],
            HelpName = "code",
        };
        var metricsPort = Options.Number("--metrics-port", "Port of 127.0.0.1 that serves /metrics to Prometheus during the run; 0 for none", 0, 0, 65_535);

        var command = new Command("load", "Send a mix of requests on a schedule. Check each answer, and the balances at the end. Exit code 1 if a check fails.")
        {
            url, rate, duration, users, currencies, seed, connections, inFlight, tolerate, giveUp, apiKey, operatorEmail, metricsPort,
        };
        command.SetAction((result, cancellationToken) => RunAsync(
            new LoadOptions
            {
                Urls = result.GetValue(url)!,
                Rate = result.GetValue(rate),
                Duration = result.GetValue(duration),
                Users = result.GetValue(users),
                Seed = result.GetValue(seed) ?? Random.Shared.Next(),
                Connections = result.GetValue(connections),
                MaxInFlight = result.GetValue(inFlight),
                TolerateOutage = result.GetValue(tolerate),
                GiveUpAfter = result.GetValue(giveUp),
                Currencies = result.GetValue(currencies)!,
                ApiKey = ApiKeyFrom(result.GetValue(apiKey)),
                Operator = OperatorFrom(result.GetValue(operatorEmail)),
                MetricsPort = result.GetValue(metricsPort),
            },
            cancellationToken));
        return command;
    }

    // Not an argument, because every user of the machine can read the arguments of a process.
    private static string? ApiKeyFrom(string? variable)
    {
        var key = Environment.GetEnvironmentVariable(variable ?? DefaultApiKeyVariable);
        if (string.IsNullOrEmpty(key))
            return variable is null ? null : throw new ConfigurationException($"{variable} is not set.");
        return key.Length == ApiKey.Length && key.StartsWith(ApiKey.Prefix, StringComparison.Ordinal)
            ? key
            : throw new ConfigurationException($"{variable ?? DefaultApiKeyVariable} is not an API key created by ledger service key create.");
    }

    private static Credentials? OperatorFrom(string? email) =>
        email is null ? null
        : Environment.GetEnvironmentVariable(PasswordVariable) is { Length: > 0 } password ? new Credentials(email, password)
        : throw new ConfigurationException($"{PasswordVariable} is not set.");

    private static async Task<int> RunAsync(LoadOptions options, CancellationToken cancellationToken)
    {
        using var run = new LoadRun(options);
        LoadMetrics.Observe(run);
        await using var metrics = options.MetricsPort == 0 ? null : await Prometheus.StartServerAsync(LoadMetrics.Name, options.MetricsPort);
        try
        {
            Console.WriteLine($"Registering {options.Users} users at {string.Join(", ", options.Urls)} (seed {options.Seed}) …");
            await run.PrepareAsync(cancellationToken);
            await LoadProgress.ShowAsync(run, options, run.SendAsync(cancellationToken));
            Console.WriteLine("Comparing the books …");
            await run.CheckBooksAsync();
        }
        catch (LoadException e)
        {
            await Console.Error.WriteLineAsync($"ledger: {e.Message}");
            return 1;
        }
        return LoadReport.Print(run, options) ? 0 : 1;
    }
}
