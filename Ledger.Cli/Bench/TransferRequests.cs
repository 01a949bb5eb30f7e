using System.Buffers.Text;
using System.Text;

namespace Ledger.Cli.Bench;

/// <summary>
/// Transfer requests as bytes. The headers of each sender, with its token, are formatted once; all bodies have the same length.
/// </summary>
internal sealed class TransferRequests
{
    private const int AmountLength = 4;
    private const int IdLength = 36;
    private const int KeyLength = 32;

    private static ReadOnlySpan<byte> BodyStart => "{"u8;
    private static ReadOnlySpan<byte> BodyBeforeRecipient => "\"to\":\""u8;
    private static ReadOnlySpan<byte> BodyAfterRecipient => "\",\"currency\":\"USD\",\"amount\":\""u8;
    private static ReadOnlySpan<byte> BodyEnd => "\"}"u8;

    private readonly byte[][] _heads;
    // Each ends with "onBehalfOf" of a service account's transfer, if one sends it.
    private readonly byte[][] _bodyStarts;
    private readonly byte[][] _recipients;
    private readonly ulong? _keyPrefix;

    /// <param name="keyPrefix">The prefix of this run's idempotency keys; null sends none.</param>
    /// <param name="serviceKey">The API key of the service account that sends the transfers; null if the users send them.</param>
    public TransferRequests(Uri url, IReadOnlyList<Account> accounts, ulong? keyPrefix, string? serviceKey)
    {
        _keyPrefix = keyPrefix;
        _bodyStarts = [.. accounts.Select(account => serviceKey is null
            ? BodyStart.ToArray()
            : Encoding.ASCII.GetBytes($$"""{"onBehalfOf":"{{account.UserId}}","""))];
        var length = _bodyStarts[0].Length + BodyBeforeRecipient.Length + IdLength + BodyAfterRecipient.Length + AmountLength + BodyEnd.Length;
        _heads = [.. accounts.Select(account => Encoding.ASCII.GetBytes(
            $"POST /api/v1/transfers HTTP/1.1\r\nHost: {url.Authority}\r\nAuthorization: Bearer {serviceKey ?? account.Token}\r\n"
            + $"Content-Type: application/json\r\nContent-Length: {length}\r\n{(keyPrefix is null ? "" : "Idempotency-Key: ")}"))];
        _recipients = [.. accounts.Select(account => Encoding.ASCII.GetBytes(account.UserId))];
        MaxLength = _heads.Max(head => head.Length) + KeyLength + 4 + length;
    }

    /// <summary>The size in bytes that a buffer needs.</summary>
    public int MaxLength { get; }

    /// <summary>Writes a transfer request and returns its length in bytes.</summary>
    /// <param name="sender">Index of the sender's account.</param>
    /// <param name="recipient">Index of the recipient's account.</param>
    /// <param name="cents">1 to 999.</param>
    /// <param name="number">Unique within the run.</param>
    public int Write(Span<byte> buffer, int sender, int recipient, int cents, ulong number)
    {
        var rest = Append(buffer, _heads[sender]);
        if (_keyPrefix is { } prefix)
        {
            Utf8Formatter.TryFormat(prefix, rest, out _, new('x', 16));
            Utf8Formatter.TryFormat(number, rest[16..], out _, new('x', 16));
            rest = Append(rest[KeyLength..], "\r\n"u8);
        }
        rest = Append(rest, "\r\n"u8);
        rest = Append(rest, _bodyStarts[sender]);
        rest = Append(rest, BodyBeforeRecipient);
        rest = Append(rest, _recipients[recipient]);
        rest = Append(rest, BodyAfterRecipient);
        rest[0] = (byte)('0' + cents / 100);
        rest[1] = (byte)'.';
        rest[2] = (byte)('0' + cents / 10 % 10);
        rest[3] = (byte)('0' + cents % 10);
        rest = Append(rest[AmountLength..], BodyEnd);
        return buffer.Length - rest.Length;
    }

    private static Span<byte> Append(Span<byte> buffer, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(buffer);
        return buffer[bytes.Length..];
    }
}

/// <summary>A registered user with an access token and funds.</summary>
internal sealed record Account(string UserId, string Token);
