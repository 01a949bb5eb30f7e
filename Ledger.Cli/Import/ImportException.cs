namespace Ledger.Cli.Import;

/// <summary>Why a file cannot be imported. The transaction of the database that was under way is rolled back.</summary>
internal sealed class ImportException(string message) : Exception(message)
{
    public ImportException(long line, string message) : this($"line {line}: {message}")
    {
    }
}
