using System.CommandLine;
using System.Globalization;
using Ledger.Core.Verification;
using Npgsql;
using Spectre.Console;

namespace Ledger.Cli.Verify;

/// <summary><c>ledger verify</c>: checks the database against the rules of the ledger.</summary>
internal static class VerifyCommand
{
    private const int MoneyRuleBroken = 1;
    // Not 2, which every command returns for a wrong command line or a database that does not answer.
    private const int LivenessRuleBroken = 3;

    public static Command Create()
    {
        var maxPendingAge = Options.Duration("--max-pending-age", "Age from which an undecided command breaks a rule", TimeSpan.FromSeconds(60));
        var rows = Options.Number("--rows", "Violations to list per rule; all of them are counted", 10, 1, 100_000);
        var full = new Option<bool>("--full") { Description = "Recompute the journal from its beginning, not from the last block that a worker verified" };
        var command = new Command("verify", "Check in one snapshot of the database that the books balance, and recompute the journal. Exit code 1 if a money rule is broken, 3 if only commands wait for too long.") { maxPendingAge, rows, full };
        command.SetAction((result, cancellationToken) => LedgerDatabase.UseAsync(
            database => VerifyAsync(database, result.GetValue(maxPendingAge), result.GetValue(rows), result.GetValue(full), cancellationToken)));
        return command;
    }

    private static async Task<int> VerifyAsync(NpgsqlDataSource database, TimeSpan maxPendingAge, int maxRows, bool isFull, CancellationToken cancellationToken)
    {
        var report = await new Verifier(database).VerifyAsync(maxPendingAge, maxRows, cancellationToken, isFull);
        Print(report);
        return report.Failures(CheckKind.Money) > 0 ? MoneyRuleBroken : report.Failures(CheckKind.Liveness) > 0 ? LivenessRuleBroken : 0;
    }

    public static void Print(VerificationReport report)
    {
        var table = new Table().AddColumns("Check", "Kind", "Rule", "Violations");
        table.Columns[3].RightAligned();
        foreach (var (check, broken, _) in report.Results)
        {
            var color = broken == 0 ? "green" : ColorOf(check.Kind);
            table.AddRow(check.Name, NameOf(check.Kind), Markup.Escape(check.Rule), string.Create(CultureInfo.InvariantCulture, $"[{color}]{broken}[/]"));
        }
        Terminal.Output.Write(table);

        foreach (var (check, broken, rows) in report.Results.Where(result => result.Broken > 0))
        {
            Terminal.Output.MarkupLine($"[{ColorOf(check.Kind)}]{check.Name}[/]: {Markup.Escape(check.Rule)}");
            foreach (var row in rows)
                Console.WriteLine($"  {row}");
            if (broken > rows.Count)
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  … and {broken - rows.Count} more"));
        }
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"Checked {report.Accounts} accounts, {report.Transactions} transactions and {report.Entries} entries as of {report.At:yyyy-MM-dd'T'HH:mm:ss.fff'Z'} in {report.Took.TotalSeconds:0.00} s: {Summary(report)}."));
    }

    private static string Summary(VerificationReport report) =>
        report.IsClean ? "every rule holds"
        : report.Failures(CheckKind.Money) > 0 ? "MONEY RULES ARE BROKEN"
        : "the books are right, but commands wait for too long";

    private static string NameOf(CheckKind kind) => kind == CheckKind.Money ? "money" : "liveness";

    private static string ColorOf(CheckKind kind) => kind == CheckKind.Money ? "red" : "yellow";
}
