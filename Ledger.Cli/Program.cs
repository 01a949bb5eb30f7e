using System.CommandLine;
using System.CommandLine.Invocation;
using System.Net.Sockets;
using Ledger.Cli.Access;
using Ledger.Cli.Bench;
using Ledger.Cli.Export;
using Ledger.Cli.Failed;
using Ledger.Cli.Import;
using Ledger.Cli.Load;
using Ledger.Cli.Migrate;
using Ledger.Cli.Verify;
using Ledger.ServiceDefaults;
using Npgsql;

var root = new RootCommand("The operator's tool of Ledger.")
{
    MigrateCommand.Create(),
    VerifyCommand.Create(),
    ExportCommand.Create(),
    ImportCommand.Create(),
    FailedCommand.Create(),
    OperatorCommand.Create(),
    ServiceCommand.Create(),
    LoadCommand.Create(),
    BenchCommand.Create(),
};
try
{
    var command = root.Parse(args);
    var exitCode = await command.InvokeAsync(new InvocationConfiguration
    {
        EnableDefaultExceptionHandler = false,
        // After Ctrl+C, ledger load waits for the pending requests and compares the books.
        ProcessTerminationTimeout = TimeSpan.FromMinutes(3),
    });
    // The library returns 1 for a parse error, but 1 means that a check failed.
    return command.Action is ParseErrorAction ? 2 : exitCode;
}
catch (Exception e) when (e is ConfigurationException or NpgsqlException or SocketException or HttpRequestException)
{
    await Console.Error.WriteLineAsync($"ledger: {e.Message.ReplaceLineEndings(" ")}");
    return 2;
}
catch (OperationCanceledException)
{
    return 130;
}
