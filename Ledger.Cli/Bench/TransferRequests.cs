using System.Buffers.Text;
using System.Text;

namespace Ledger.Cli.Bench;

/// <summary>
/// Transfers as bytes, ready but for what changes: each sender's headers are written once, with its token, and every body is as
/// long as every other.
/// </summary>
internal sealed class TransferRequests
{
    private const int AmountLength = 4;
    private const int IdLength = 36;
    private const int KeyLength = 32;

    private static ReadOnlySpan<byte> BodyBeforeRecipient => "{\"to\":\""u8;
    private static ReadOnlySpan<byte> BodyAfterRecipient => "\",\"currency\":\"USD\",\"amount\":\""u8;
    private static ReadOnlySpan<byte> BodyEnd => "\"}"u8;

    private readonly byte[][] _heads;
    private readonly byte[][] _recipients;
    private readonly ulong? _keyPrefix;

    /// <param name="keyPrefix">What the idempotency keys of this run start with; null: none are sent.</param>
    public TransferRequests(Uri url, IReadOnlyList<Account> accounts, ulong? keyPrefix)
    {
        _keyPrefix = keyPrefix;
        var length = BodyBeforeRecipient.Length + IdLength + BodyAfterRecipient.Length + AmountLength + BodyEnd.Length;
        _heads = [.. accounts.Select(account => Encoding.ASCII.GetBytes(
            $"POST /api/v1/transfers HTTP/1.1\r\nHost: {url.Authority}\r\nAuthorization: Bearer {account.Token}\r\n"
            + $"Content-Type: application/json\r\nContent-Length: {length}\r\n{(keyPrefix is null ? "" : "Idempotency-Key: ")}"))];
        _recipients = [.. accounts.Select(account => Encoding.ASCII.GetBytes(account.UserId))];
        MaxLength = _heads.Max(head => head.Length) + KeyLength + 4 + length;
    }

    /// <summary>What a buffer must hold.</summary>
    public int MaxLength { get; }

    /// <summary>Writes a transfer and returns its length.</summary>
    /// <param name="cents">1 to 999.</param>
    /// <param name="number">Different for each transfer of the run.</param>
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

/// <summary>A user who was registered, logged in and given money.</summary>
internal sealed record Account(string UserId, string Token);
