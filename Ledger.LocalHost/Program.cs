using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using Ledger.LocalHost;
using Ledger.LocalHost.Output;

var defaults = new LocalSystemOptions();
var apis = Number("--apis", "API processes", defaults.Apis, 64);
var workers = Number("--workers", "Worker processes", defaults.Workers, 64);
var port = Number("--port", "First API's port, the others follow; 0, here and below: any free port", defaults.ApiPort, 65_000);
var postgresPort = Number("--postgres-port", "PostgreSQL's port", defaults.PostgresPort, 65_000);
var rabbitMqPort = Number("--rabbitmq-port", "RabbitMQ's AMQP port", defaults.RabbitMqPort, 65_000);
var managementPort = Number("--management-port", "Port of RabbitMQ's management page", defaults.ManagementPort, 65_000);
var data = new Option<string?>("--data") { Description = "Data directory, kept between runs; .ledger/run in the repository if not given", HelpName = "directory" };
var ephemeral = new Option<bool>("--ephemeral") { Description = "Fresh data in a temporary directory, deleted at the end" };
var dashboard = new Option<bool>("--dashboard") { Description = "The Aspire dashboard too, with traces, metrics and logs of API and worker" };
var dashboardPort = Number("--dashboard-port", "The dashboard's port", defaults.DashboardPort, 65_000);
var environment = new Option<string>("--environment") { Description = "ASPNETCORE_ENVIRONMENT of API and worker", DefaultValueFactory = _ => defaults.EnvironmentName };

data.Validators.Add(result => { if (result.Tokens is [{ Value: "" }]) result.AddError("--data takes a directory."); });

var command = new RootCommand("Runs Ledger on this machine as plain processes: PostgreSQL, RabbitMQ, API and worker, all on loopback. Ctrl+C stops everything. Environment variables Ledger__… reach API and worker.")
{
    apis, workers, port, postgresPort, rabbitMqPort, managementPort, data, ephemeral, dashboard, dashboardPort, environment,
};
command.SetAction((result, _) => RunAsync(new LocalSystemOptions
{
    Apis = result.GetValue(apis),
    Workers = result.GetValue(workers),
    ApiPort = result.GetValue(port),
    PostgresPort = result.GetValue(postgresPort),
    RabbitMqPort = result.GetValue(rabbitMqPort),
    ManagementPort = result.GetValue(managementPort),
    DataDirectory = result.GetValue(data),
    Ephemeral = result.GetValue(ephemeral),
    Dashboard = result.GetValue(dashboard),
    DashboardPort = result.GetValue(dashboardPort),
    EnvironmentName = result.GetValue(environment)!,
}));
// Stopping in order takes longer than the library's own handling of signals allows.
return await command.Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });

static Option<int> Number(string name, string description, int defaultValue, int max) => new(name)
{
    Description = description,
    DefaultValueFactory = _ => defaultValue,
    CustomParser = result =>
    {
        if (int.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= max)
            return number;
        result.AddError($"{name} takes 0 to {max}.");
        return default;
    },
};

static async Task<int> RunAsync(LocalSystemOptions options)
{
    using var stopping = new CancellationTokenSource();
    using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
    using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Stop);
    using var quit = PosixSignalRegistration.Create(PosixSignal.SIGQUIT, Stop);

    var printer = new LogPrinter();
    try
    {
        printer.Print("Starting PostgreSQL, RabbitMQ, API and worker …");
        await using var system = await LocalSystem.StartAsync(options with { Log = printer.Print }, stopping.Token);
        printer.Print(Welcome.Text(system));
        await Task.Delay(Timeout.Infinite, stopping.Token).ContinueWith(_ => { }, TaskScheduler.Default);
        printer.Print("Stopping …");
    }
    catch (OperationCanceledException) when (stopping.IsCancellationRequested)
    {
        // Asked to stop while it was still starting: what was started is stopped by now.
    }
    catch (LocalSystemException exception)
    {
        foreach (var line in exception.Tail.TakeLast(20))
            await Console.Error.WriteLineAsync($"    {line}");
        await Console.Error.WriteLineAsync($"ledger: {exception.Message}");
        return 1;
    }
    return 0;

    void Stop(PosixSignalContext context)
    {
        context.Cancel = true;
        stopping.Cancel();
    }
}
