using System.CommandLine;
using Npgsql;

namespace Ledger.Cli.Export;

/// <summary><c>ledger export</c>: writes the whole journal with its users and accounts as JSON Lines.</summary>
internal static class ExportCommand
{
    private const int BufferSize = 64 * 1024;

    public static Command Create()
    {
        var after = Options.Number("--after", "Sequence of the journal after which a new file begins", 0L, 0L, long.MaxValue);
        var file = new Option<string?>("--out") { Description = "File to write, by default standard output. An existing export goes on after its last complete line.", HelpName = "file" };
        var command = new Command("export", "Export currencies, users, accounts and the journal as JSON Lines. The file has personal data.") { after, file };
        command.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(
            database => ExportAsync(database, result.GetValue(file), result.GetValue(after), cancellationToken)));
        return command;
    }

    private static async Task<int> ExportAsync(NpgsqlDataSource database, string? path, long after, CancellationToken cancellationToken)
    {
        try
        {
            await using Stream output = path is null ? new BufferedStream(Console.OpenStandardOutput(), BufferSize) : Open(path);
            var begin = path is null ? new ExportFile(0, after) : await ExportFile.FindAsync(output, after, cancellationToken);
            if (begin.Length > 0 && after > 0)
                throw new ExportException($"--after is for a new file, and {path} is an export already.");
            if (path is not null)
            {
                output.SetLength(begin.Length);
                output.Position = begin.Length;
            }
            var report = await new ExportRun(database, output).RunAsync(begin, cancellationToken);
            await output.FlushAsync(cancellationToken);
            (output as FileStream)?.Flush(flushToDisk: true);
            // Standard output may be the export.
            await Console.Error.WriteLineAsync(report.ToString());
            return 0;
        }
        catch (Exception e) when (e is ExportException or InvalidDataException or IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"ledger: {e.Message}");
            return 1;
        }
    }

    private static FileStream Open(string path)
    {
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None, BufferSize = BufferSize };
        // The file has personal data: its owner alone reads it.
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return new FileStream(path, options);
    }
}
