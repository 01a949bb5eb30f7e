using System.Buffers.Text;
using System.Text;

namespace Ledger.Cli.Bench;

/// <summary>The status and the extent of an HTTP/1.1 response (RFC 9112).</summary>
internal readonly record struct RawResponse(int Status, int BodyOffset, int BodyLength, bool IsChunked)
{
    /// <summary>Parses the response at the start of <paramref name="received"/>; false if the response is incomplete.</summary>
    /// <exception cref="IOException">The bytes are not an HTTP/1.1 response.</exception>
    public static bool TryParse(ReadOnlySpan<byte> received, out RawResponse response)
    {
        response = default;
        var headersEnd = received.IndexOf("\r\n\r\n"u8);
        if (headersEnd < 0)
            return false;
        if (!received.StartsWith("HTTP/1.1 "u8) || !Utf8Parser.TryParse(received[9..], out int status, out var digits) || digits != 3)
            throw new IOException("The received bytes are not an HTTP/1.1 response.");

        var body = headersEnd + 4;
        var (length, chunked) = ReadHeaders(received[..headersEnd]);
        if (chunked)
        {
            if (!TryFindEndOfChunks(received[body..], out length))
                return false;
        }
        else if (received.Length < body + length)
        {
            return false;
        }
        response = new RawResponse(status, body, length, chunked);
        return true;
    }

    /// <summary>The body as text, without chunk framing.</summary>
    public string BodyOf(ReadOnlySpan<byte> received)
    {
        var body = received.Slice(BodyOffset, BodyLength);
        if (!IsChunked)
            return Encoding.UTF8.GetString(body);
        var bytes = new List<byte>(body.Length);
        while (TryReadChunk(body, out var start, out var size) && size > 0)
        {
            bytes.AddRange(body.Slice(start, size));
            body = body[(start + size + 2)..];
        }
        return Encoding.UTF8.GetString([.. bytes]);
    }

    private static (int Length, bool Chunked) ReadHeaders(ReadOnlySpan<byte> headers)
    {
        var (length, chunked) = (0, false);
        foreach (var range in headers.Split("\r\n"u8))
        {
            var line = headers[range];
            if (StartsWithIgnoringCase(line, "transfer-encoding:"u8))
                chunked = true;
            else if (StartsWithIgnoringCase(line, "content-length:"u8)
                && !Utf8Parser.TryParse(line["content-length:".Length..].TrimStart(" "u8), out length, out _))
                throw new IOException("The response's Content-Length is not a number.");
        }
        return (length, chunked);
    }

    private static bool StartsWithIgnoringCase(ReadOnlySpan<byte> line, ReadOnlySpan<byte> name) =>
        line.Length >= name.Length && Ascii.EqualsIgnoreCase(line[..name.Length], name);

    private static bool TryFindEndOfChunks(ReadOnlySpan<byte> body, out int length)
    {
        length = 0;
        while (TryReadChunk(body[length..], out var start, out var size))
        {
            length += start + size + 2;
            if (length > body.Length)
                return false;
            // The last chunk is empty. Trailers could follow it, but the API sends none.
            if (size == 0)
                return true;
        }
        return false;
    }

    private static bool TryReadChunk(ReadOnlySpan<byte> body, out int start, out int size)
    {
        var line = body.IndexOf("\r\n"u8);
        (start, size) = (line + 2, 0);
        if (line < 0)
            return false;
        return Utf8Parser.TryParse(body[..line], out size, out _, 'x') ? true : throw new IOException("A chunk has no size.");
    }
}
