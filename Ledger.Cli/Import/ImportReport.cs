using System.Globalization;
using Spectre.Console;

namespace Ledger.Cli.Import;

/// <summary>What an import has done.</summary>
internal sealed class ImportReport
{
    private readonly SortedDictionary<string, (long Imported, long Skipped)> _lines = new(StringComparer.Ordinal);

    /// <summary>What all accounts of users and of the house have together, per currency.</summary>
    public List<(string Currency, long Accounts, long Entries, string Sum)> Sums { get; } = [];

    /// <summary>When the same file was imported before; null if it was not.</summary>
    public DateTime? ImportedBefore { get; set; }

    /// <param name="type">The type of the lines.</param>
    /// <param name="skipped">How many were in the ledger already.</param>
    public void Add(string type, long imported, long skipped)
    {
        var (importedBefore, skippedBefore) = _lines.GetValueOrDefault(type);
        _lines[type] = (importedBefore + imported, skippedBefore + skipped);
    }

    public void Print()
    {
        var lines = new Table().AddColumns("Lines", "Imported", "Already there");
        foreach (var (type, (imported, skipped)) in _lines)
            lines.AddRow(type, Number(imported), Number(skipped));
        Terminal.Output.Write(lines);
        var sums = new Table().AddColumns("Currency", "Accounts", "Entries", "Sum of balances");
        foreach (var (currency, accounts, entries, sum) in Sums)
            sums.AddRow(currency, Number(accounts), Number(entries), sum);
        Terminal.Output.Write(sums);
        Console.WriteLine(ImportedBefore is { } time
            ? string.Create(CultureInfo.InvariantCulture, $"This file was imported at {time:yyyy-MM-dd HH:mm:ss'Z'}. Nothing was changed.")
            : _lines.Values.All(count => count.Imported == 0) ? "Every line was in the ledger already." : "The file is imported.");
    }

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);
}
