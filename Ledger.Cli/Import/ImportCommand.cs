using System.CommandLine;
using Ledger.Cli.Verify;
using Ledger.Core.Verification;
using Npgsql;

namespace Ledger.Cli.Import;

/// <summary><c>ledger import</c>: brings an export, or the books of another system in the same format, into an empty ledger.</summary>
internal static class ImportCommand
{
    private const int MaxRows = 10;
    private static readonly TimeSpan MaxPendingAge = TimeSpan.FromSeconds(60);

    public static Command Create()
    {
        var file = new Argument<string>("file") { Description = "File in the format of ledger export" };
        var command = new Command("import", "Import users, accounts and transactions with their times into an empty ledger, while no service runs on it. Safe to run repeatedly. Exit code 1 if the file is refused or a money rule is broken afterwards.") { file };
        command.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(database => ImportAsync(database, result.GetValue(file)!, cancellationToken)));
        return command;
    }

    private static async Task<int> ImportAsync(NpgsqlDataSource database, string path, CancellationToken cancellationToken)
    {
        try
        {
            (await new ImportRun(database, path).RunAsync(cancellationToken)).Print();
        }
        catch (Exception e) when (e is ImportException or IOException or InvalidDataException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"ledger: {path}: {e.Message.ReplaceLineEndings(" ")}");
            return 1;
        }
        var verification = await new Verifier(database).VerifyAsync(MaxPendingAge, MaxRows, cancellationToken, isFull: true);
        VerifyCommand.Print(verification);
        return verification.Failures(CheckKind.Money) > 0 ? 1 : 0;
    }
}
