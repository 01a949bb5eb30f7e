using System.Text.Json;

namespace Ledger.Cli.Export;

/// <summary>How far an export file has come.</summary>
/// <param name="Length">The length up to which the file is kept. What stands behind it is written again.</param>
/// <param name="After">The sequence after which the next section begins, if no section is continued.</param>
/// <param name="Section">The section that is continued; null if a new one begins.</param>
/// <param name="LastTransaction">The last transaction of the continued section, or null.</param>
/// <param name="LastKey">The last idempotency key of the continued section, or null.</param>
/// <param name="Digest">The digest of the last transaction in the file; null if it has none.</param>
internal sealed record ExportFile(
    long Length, long After, ExportLine? Section = null, long? LastTransaction = null, KeyLine? LastKey = null, string? Digest = null)
{
    private static ReadOnlySpan<byte> SectionStart => "{\"type\":\"export\""u8;

    /// <summary>Reads a file from its beginning and finds where the export goes on.</summary>
    /// <param name="after">The sequence after which an empty file begins.</param>
    /// <exception cref="ExportException">The file is no export.</exception>
    public static async Task<ExportFile> FindAsync(Stream file, long after, CancellationToken cancellationToken)
    {
        (ExportLine Line, long Start)? section = null;
        var last = Array.Empty<byte>();
        var (lastLength, end) = (0, 0L);
        await foreach (var line in LineReader.ReadAsync(file, cancellationToken))
        {
            if (!line.IsComplete)
                break;
            if (line.Text.Span.StartsWith(SectionStart))
                section = ((ExportLine)Parse(line.Text.Span, line.Number), line.Start);
            if (section is null)
                throw new ExportException($"Line {line.Number} of the file is not the beginning of an export. Name a new file.");
            if (last.Length < line.Text.Length)
                last = new byte[line.Text.Length * 2];
            line.Text.CopyTo(last);
            (lastLength, end) = (line.Text.Length, line.End);
        }
        if (section is not { } current)
            return new(0, after);
        return Parse(last.AsSpan(0, lastLength), 0) switch
        {
            EndLine line => new(end, line.Through, Digest: line.Digest),
            TransactionLine line => new(end, current.Line.After, current.Line, LastTransaction: line.Sequence, Digest: line.Digest),
            KeyLine line => new(end, current.Line.After, current.Line, LastTransaction: current.Line.Through, LastKey: line),
            // Users and accounts come from one snapshot: they are written anew.
            _ => new(current.Start, current.Line.After),
        };
    }

    private static Line Parse(ReadOnlySpan<byte> text, long number)
    {
        try
        {
            return Line.Parse(text);
        }
        catch (JsonException e)
        {
            throw new ExportException($"The file cannot be continued: {(number == 0 ? "its last line" : $"line {number}")} is not a line of an export. {e.Message}");
        }
    }
}

/// <summary>Why an export cannot be made.</summary>
internal sealed class ExportException(string message) : Exception(message);
