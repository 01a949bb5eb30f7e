using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text.Json;
using Ledger.Cli.Export;
using Ledger.Core.Currencies;

namespace Ledger.Cli.Import;

/// <summary>A file to import. It is read twice: each line is checked before the first is written to the database.</summary>
/// <param name="currencies">The currencies of the ledger, to which those of the file are added.</param>
/// <param name="now">The database's clock, UTC.</param>
internal sealed class ImportFile(string path, Dictionary<string, Currency> currencies, DateTime now)
{
    private readonly LineCheck _check = new(currencies, now);

    /// <summary>Checks every line and the order of the lines.</summary>
    /// <returns>The number of lines per type, and the hash of the file.</returns>
    /// <exception cref="ImportException">A line is not in the format.</exception>
    public async Task<(IReadOnlyDictionary<string, long> Counts, string Hash)> CheckAsync(CancellationToken cancellationToken)
    {
        var counts = new Dictionary<string, long>();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        ExportLine? section = null;
        var (transactions, last) = (0L, 0L);
        await foreach (var (number, line) in ReadAsync(hash, cancellationToken))
        {
            last = number;
            switch (line)
            {
                case ExportLine begin when section is not null:
                    throw new ImportException(number, $"a new section begins, and the one that ends at sequence {section.Through} has no line of type end. Run ledger export again with the same file.");
                case ExportLine { Format: not ExportLine.CurrentFormat } begin:
                    throw new ImportException(number, $"the format is {begin.Format}. This version reads format {ExportLine.CurrentFormat}.");
                case ExportLine begin when begin.After != transactions:
                    throw new ImportException(number, $"the section begins after sequence {begin.After}, and the lines before it end at {transactions}. Import a file that begins with the first transaction.");
                case ExportLine begin:
                    section = begin;
                    break;
                case EndLine end when section is null || end.Through != section.Through || transactions != end.Through:
                    throw new ImportException(number, $"the section ends at sequence {end.Through}, and its transactions at {transactions}.");
                case EndLine:
                    section = null;
                    break;
                case TransactionLine transaction:
                    transactions++;
                    if (transaction.Sequence is { } sequence && sequence != transactions)
                        throw new ImportException(number, $"the transaction has sequence {sequence}, and its place in the file is {transactions}.");
                    _check.Transaction(number, transaction);
                    break;
                default:
                    _check.Other(number, line);
                    break;
            }
            if (line is not (ExportLine or EndLine))
                counts[TypeOf(line)] = counts.GetValueOrDefault(TypeOf(line)) + 1;
        }
        if (section is not null)
            throw new ImportException(last, "the file ends without a line of type end: the export was interrupted. Run ledger export again with the same file.");
        return (counts, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }

    /// <summary>The lines with their numbers, blank ones left out.</summary>
    public async IAsyncEnumerable<(long Number, Line Line)> ReadAsync(IncrementalHash? hash, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1, useAsync: false);
        await foreach (var line in LineReader.ReadAsync(file, cancellationToken))
        {
            hash?.AppendData(line.Text.Span);
            hash?.AppendData("\n"u8);
            if (!line.Text.Span.ContainsAnyExcept(" \t\r"u8))
                continue;
            yield return (line.Number, Parse(line));
        }
    }

    public static string TypeOf(Line line) => line switch
    {
        CurrencyLine => "currency",
        PeriodLine => "period",
        UserLine => "user",
        AccountLine => "account",
        TransactionLine => "transaction",
        KeyLine => "key",
        _ => throw new ArgumentOutOfRangeException(nameof(line)),
    };

    private static Line Parse(TextLine line)
    {
        try
        {
            return Line.Parse(line.Text.Span);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            // Without the place in the line, which the library counts from 0.
            var message = e.Message.Split(" Path: ")[0];
            throw new ImportException(line.Number, e is NotSupportedException
                ? "the field type is required: currency, period, user, account, transaction or key."
                : $"{(e is JsonException { Path: { Length: > 1 } path } ? $"{path[2..]}: " : "")}{message}");
        }
    }
}
