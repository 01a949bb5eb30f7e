using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;

namespace Ledger.Cli.Export;

/// <summary>Reads a file line by line, in memory that does not grow with the file.</summary>
internal static class LineReader
{
    /// <summary>A line that is longer is refused. The longest that an export writes has less than 200 KB.</summary>
    public const int MaxLength = 16 * 1024 * 1024;

    private static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    /// <exception cref="InvalidDataException">A line is longer than <see cref="MaxLength"/>.</exception>
    public static async IAsyncEnumerable<TextLine> ReadAsync(Stream file, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var pipe = PipeReader.Create(file, new StreamPipeReaderOptions(bufferSize: 64 * 1024, leaveOpen: true));
        var (number, start) = (0L, 0L);
        var buffer = new ArrayBufferWriter<byte>(4096);
        while (true)
        {
            var read = await pipe.ReadAsync(cancellationToken);
            var rest = read.Buffer;
            while (rest.PositionOf((byte)'\n') is { } end)
            {
                yield return Take(rest.Slice(0, end), isComplete: true);
                rest = rest.Slice(rest.GetPosition(1, end));
            }
            if (rest.Length > MaxLength)
                throw new InvalidDataException($"Line {number + 1} has more than {MaxLength} bytes.");
            if (read.IsCompleted)
            {
                if (!rest.IsEmpty)
                    yield return Take(rest, isComplete: false);
                break;
            }
            pipe.AdvanceTo(rest.Start, rest.End);
        }
        await pipe.CompleteAsync();

        TextLine Take(ReadOnlySequence<byte> bytes, bool isComplete)
        {
            buffer.ResetWrittenCount();
            foreach (var part in bytes)
                buffer.Write(part.Span);
            var text = buffer.WrittenMemory;
            var line = new TextLine(++number, start, start + text.Length + (isComplete ? 1 : 0), isComplete, text);
            start = line.End;
            // Some editors begin a file with it.
            return line.Number == 1 && text.Span.StartsWith(ByteOrderMark) ? line with { Text = text[ByteOrderMark.Length..] } : line;
        }
    }
}

/// <summary>A line of a file.</summary>
/// <param name="Number">From 1.</param>
/// <param name="Start">The offset of its first byte.</param>
/// <param name="End">The offset behind it and its line feed.</param>
/// <param name="IsComplete">Whether it ends with a line feed.</param>
/// <param name="Text">Its bytes, until the next line is read.</param>
internal readonly record struct TextLine(long Number, long Start, long End, bool IsComplete, ReadOnlyMemory<byte> Text);
