using System.CommandLine;
using System.Globalization;

namespace Ledger.AppHost;

/// <summary>Reads the command line, runs the AppHost, and ends it with an exit code and, if it fails, one line that says why.</summary>
internal static class CommandLine
{
    private static readonly RunOptions s_defaults = new();

    private static readonly Option<string?> s_servers = new("--servers")
    {
        Description = "PostgreSQL and RabbitMQ as containers, or as this machine's own programs (native). Default: containers if docker or podman answers",
        HelpName = "containers|native",
    };
    private static readonly Option<int> s_apis = Number("--apis", "API processes", s_defaults.Apis, 64);
    private static readonly Option<int> s_workers = Number("--workers", "Worker processes", s_defaults.Workers, 64);
    private static readonly Option<int> s_port = Number("--port", "Port of the first API, the others follow. 0, here and below: any free port", s_defaults.ApiPort, 65_000);
    private static readonly Option<int> s_postgresPort = Number("--postgres-port", "Port of PostgreSQL", s_defaults.PostgresPort, 65_000);
    private static readonly Option<int> s_rabbitMqPort = Number("--rabbitmq-port", "AMQP port of RabbitMQ", s_defaults.RabbitMqPort, 65_000);
    private static readonly Option<int> s_managementPort = Number("--management-port", "Port of RabbitMQ's management page", s_defaults.ManagementPort, 65_000);
    private static readonly Option<string?> s_data = new("--data") { Description = "Data directory of native servers, kept between runs. Default: .ledger/run in the repository", HelpName = "directory" };
    private static readonly Option<bool> s_ephemeral = new("--ephemeral") { Description = "Fresh data, deleted at the end" };
    private static readonly Option<int> s_dashboardPort = Number("--dashboard-port", "Port of the Aspire dashboard", s_defaults.DashboardPort, 65_000);
    private static readonly Option<bool> s_noDashboard = new("--no-dashboard") { Description = "No Aspire dashboard: 0.2 GB less memory" };
    private static readonly Option<string> s_environment = new("--environment") { Description = "ASPNETCORE_ENVIRONMENT of API and worker", HelpName = "name", DefaultValueFactory = _ => s_defaults.Environment };
    private static readonly Option<bool> s_monitoring = new("--monitoring") { Description = "Prometheus too, and with containers Grafana with the ledger's dashboard" };
    private static readonly Option<bool> s_test = new("--test") { Hidden = true };
    private static readonly Argument<string[]> s_settings = new("settings") { Hidden = true, Arity = ArgumentArity.ZeroOrMore };

    private static readonly RootCommand s_command = new(
        "Runs Ledger on this machine: PostgreSQL, RabbitMQ, migrations, API, worker and the Aspire dashboard, all on loopback. "
        + "Ctrl+C stops everything. Environment variables Ledger__… reach API and worker.")
    {
        s_servers, s_apis, s_workers, s_port, s_postgresPort, s_rabbitMqPort, s_managementPort, s_data, s_ephemeral,
        s_dashboardPort, s_noDashboard, s_environment, s_monitoring, s_test, s_settings,
    };

    /// <summary>Builds the model that the arguments ask for, and runs or publishes it.</summary>
    /// <returns>0; 1 if an option is wrong, something is missing or in use, or a process failed before it was ready.</returns>
    public static int Run(string[] args, Func<RunOptions, IDistributedApplicationBuilder> build)
    {
        try
        {
            if (Parse(args) is not { } options)
                return s_command.Parse("--help").Invoke();
            using var app = build(options).Build();
            app.Run();
            return Environment.ExitCode;
        }
        catch (DistributedApplicationException e)
        {
            return Fail(e.Message);
        }
        catch (OperationCanceledException)
        {
            return Environment.ExitCode != 0 ? Environment.ExitCode : Fail("stopped before everything had started.");
        }
    }

    private static int Fail(string reason)
    {
        Console.Error.WriteLine($"ledger: {reason}");
        return 1;
    }

    /// <exception cref="DistributedApplicationException">An option is unknown, has a wrong value, or excludes another.</exception>
    private static RunOptions? Parse(string[] args)
    {
        // Publishing knows none of the options below: it has Aspire's own.
        if (args.Any(arg => arg is "--publisher" or "--operation" || arg.StartsWith("--publisher=", StringComparison.Ordinal) || arg.StartsWith("--operation=", StringComparison.Ordinal)))
            return new RunOptions { AspireArguments = args };
        if (args is ["--help" or "-h" or "-?"])
            return null;

        var result = s_command.Parse(args);
        if (result.Errors is [var error, ..])
            throw new DistributedApplicationException($"{error.Message.TrimEnd('.')}. --help lists the options.");
        var settings = result.GetValue(s_settings) ?? [];
        if (settings.FirstOrDefault(setting => !setting.Contains('=', StringComparison.Ordinal)) is { } stray)
            throw new DistributedApplicationException($"'{stray}' is not an option. --help lists the options.");
        var options = new RunOptions
        {
            UseContainers = result.GetValue(s_servers) switch
            {
                null => null,
                "containers" => true,
                "native" => false,
                var other => throw new DistributedApplicationException($"--servers takes containers or native, not '{other}'."),
            },
            Apis = result.GetValue(s_apis),
            Workers = result.GetValue(s_workers),
            ApiPort = result.GetValue(s_port),
            PostgresPort = result.GetValue(s_postgresPort),
            RabbitMqPort = result.GetValue(s_rabbitMqPort),
            ManagementPort = result.GetValue(s_managementPort),
            DataDirectory = result.GetValue(s_data),
            IsEphemeral = result.GetValue(s_ephemeral),
            HasDashboard = !result.GetValue(s_noDashboard),
            DashboardPort = result.GetValue(s_dashboardPort),
            Environment = result.GetValue(s_environment)!,
            IsMonitored = result.GetValue(s_monitoring),
            IsTest = result.GetValue(s_test),
            AspireArguments = settings,
        };
        if (options.DataDirectory == "")
            throw new DistributedApplicationException("--data takes a directory.");
        if (options is { IsEphemeral: true, DataDirectory: not null })
            throw new DistributedApplicationException("--data and --ephemeral exclude each other.");
        return options;
    }

    private static Option<int> Number(string name, string description, int defaultValue, int max) => new(name)
    {
        Description = description,
        HelpName = "number",
        DefaultValueFactory = _ => defaultValue,
        CustomParser = result =>
        {
            if (int.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= max)
                return number;
            result.AddError($"{name} takes a number from 0 to {max}, not '{result.Tokens[0].Value}'");
            return default;
        },
    };
}
