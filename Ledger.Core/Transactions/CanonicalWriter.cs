using System.Buffers;
using System.Buffers.Text;
using System.Text;

namespace Ledger.Core.Transactions;

/// <summary>
/// Writes fields so that different sequences of fields have different bytes. A field is a netstring: its length in bytes, a colon, its
/// UTF-8 text and a comma. An absent field is <c>-,</c>.
/// </summary>
public sealed class CanonicalWriter
{
    private readonly ArrayBufferWriter<byte> _output = new(1024);

    public ReadOnlySpan<byte> Written => _output.WrittenSpan;

    public void Clear() => _output.ResetWrittenCount();

    public void Write(string? text)
    {
        if (text is null)
        {
            _output.Write("-,"u8);
            return;
        }
        var length = Encoding.UTF8.GetByteCount(text);
        var span = Begin(length);
        Encoding.UTF8.GetBytes(text, span);
        End(span, length);
    }

    /// <summary>In lower case with hyphens.</summary>
    public void Write(Guid? id)
    {
        if (id is not { } value)
        {
            _output.Write("-,"u8);
            return;
        }
        var span = Begin(36);
        value.TryFormat(span, out _);
        End(span, 36);
    }

    /// <summary>In decimal digits.</summary>
    public void Write(long? number)
    {
        Span<byte> digits = stackalloc byte[20];
        if (number is not { } value)
        {
            _output.Write("-,"u8);
            return;
        }
        Utf8Formatter.TryFormat(value, digits, out var length);
        var span = Begin(length);
        digits[..length].CopyTo(span);
        End(span, length);
    }

    /// <summary>In microseconds since 1970, UTC, as PostgreSQL stores times.</summary>
    public void Write(DateTime? time) =>
        Write(time is { } value ? (value - DateTime.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond : (long?)null);

    private Span<byte> Begin(int length)
    {
        var head = _output.GetSpan(length + 12);
        Utf8Formatter.TryFormat(length, head, out var digits);
        head[digits] = (byte)':';
        _output.Advance(digits + 1);
        return head[(digits + 1)..];
    }

    private void End(Span<byte> field, int length)
    {
        field[length] = (byte)',';
        _output.Advance(length + 1);
    }
}
