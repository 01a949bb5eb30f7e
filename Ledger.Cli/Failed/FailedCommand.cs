using System.CommandLine;
using System.Globalization;
using Ledger.Cli.Access;
using Ledger.Core.Identity;
using Ledger.Core.Transactions;
using Npgsql;
using Spectre.Console;
using Command = System.CommandLine.Command;

namespace Ledger.Cli.Failed;

/// <summary><c>ledger failed list, retry, drop</c>: commands that could not be posted.</summary>
internal static class FailedCommand
{
    public static Command Create()
    {
        var rows = Options.Number("--rows", "Commands to list", 50, 1, 10_000);
        var list = new Command("list", "List commands that could not be posted, the newest first.") { rows };
        list.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(database => ListAsync(database, result.GetValue(rows), cancellationToken)));

        var id = new Argument<Guid>("id") { Description = "Id of the command, as shown by list" };
        var retry = new Command("retry", "Post a command again that waits for an operator.") { id };
        retry.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(database => ChangeAsync(
            database, result.GetValue(id), FailedCommands.Retry(result.GetValue(id)), AuditActions.FailedCommandRetried, "A worker posts it again.", cancellationToken)));
        var drop = new Command("drop", "End a command as failed that waits for an operator.") { id };
        drop.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(database => ChangeAsync(
            database, result.GetValue(id), FailedCommands.Drop(result.GetValue(id)), AuditActions.FailedCommandDropped, "A worker ends it as failed.", cancellationToken)));
        return new Command("failed", "Commands that could not be posted.") { list, retry, drop };
    }

    private static async Task<int> ListAsync(NpgsqlDataSource database, int rows, CancellationToken cancellationToken)
    {
        var table = new Table().AddColumns("Id", "Kind", "Owner", "Failed", "Ends", "Reason");
        foreach (var failed in await FailedCommands.ListAsync(database, rows, [], cancellationToken))
        {
            table.AddRow(
                failed.Id.ToString(), Markup.Escape(failed.Kind), failed.OwnerId?.ToString() ?? "", TextOf(failed.FailedAt),
                failed.EndsAt is { } ends ? TextOf(ends) : "has ended", Markup.Escape(failed.Failure));
        }
        Terminal.Output.Write(table);
        return 0;
    }

    private static async Task<int> ChangeAsync(
        NpgsqlDataSource database, Guid id, NpgsqlBatchCommand change, string action, string done, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using (var batch = new NpgsqlBatch(connection, transaction) { BatchCommands = { change } })
            await batch.ExecuteNonQueryAsync(cancellationToken);
        if (change.RecordsAffected == 0)
        {
            await Console.Error.WriteLineAsync($"ledger: command {id} does not wait for an operator.");
            return 1;
        }
        await using (var entry = new NpgsqlBatch(connection, transaction) { BatchCommands = { AuditEntry.Insert(action, id.ToString(), "") } })
            await entry.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        Console.WriteLine(done);
        return 0;
    }

    private static string TextOf(DateTime time) => time.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
}
