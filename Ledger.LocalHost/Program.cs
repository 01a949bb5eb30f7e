using System.CommandLine;
using System.Runtime.InteropServices;
using Ledger.LocalHost;
using Ledger.LocalHost.Output;

var defaults = new LocalSystemOptions();
var apis = new Option<int>("--apis") { Description = "API processes", DefaultValueFactory = _ => defaults.Apis };
var workers = new Option<int>("--workers") { Description = "Worker processes", DefaultValueFactory = _ => defaults.Workers };
var port = new Option<int>("--port") { Description = "First API's port, the others follow; 0, here and below: any free port", DefaultValueFactory = _ => defaults.ApiPort };
var postgresPort = new Option<int>("--postgres-port") { Description = "PostgreSQL's port", DefaultValueFactory = _ => defaults.PostgresPort };
var rabbitMqPort = new Option<int>("--rabbitmq-port") { Description = "RabbitMQ's AMQP port", DefaultValueFactory = _ => defaults.RabbitMqPort };
var managementPort = new Option<int>("--management-port") { Description = "Port of RabbitMQ's management page", DefaultValueFactory = _ => defaults.ManagementPort };
var data = new Option<string?>("--data") { Description = "Data directory, kept between runs; .ledger/run in the repository if not given", HelpName = "directory" };
var ephemeral = new Option<bool>("--ephemeral") { Description = "Fresh data in a temporary directory, deleted at the end" };
var dashboard = new Option<bool>("--dashboard") { Description = "The Aspire dashboard too, with traces, metrics and logs of API and worker" };
var dashboardPort = new Option<int>("--dashboard-port") { Description = "The dashboard's port", DefaultValueFactory = _ => defaults.DashboardPort };
var environment = new Option<string>("--environment") { Description = "ASPNETCORE_ENVIRONMENT of API and worker", DefaultValueFactory = _ => defaults.EnvironmentName };

foreach (var count in new[] { apis, workers })
    count.Validators.Add(result => { if (result.GetValueOrDefault<int>() is < 0 or > 64) result.AddError($"{count.Name} takes 0 to 64."); });
foreach (var number in new[] { port, postgresPort, rabbitMqPort, managementPort, dashboardPort })
    number.Validators.Add(result => { if (result.GetValueOrDefault<int>() is < 0 or > 65000) result.AddError($"{number.Name} takes 0 to 65000."); });

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
