using System.Globalization;

namespace Ledger.Api.Transactions;

/// <summary>
/// A place in a user's list of transactions: pending ones first, then the decided ones, the newest decision first. A decision
/// between two pages adds its transaction in front of the place and moves none behind it.
/// </summary>
/// <param name="DecidedAt">UTC, whole microseconds; null for a pending transaction.</param>
/// <param name="Id">The id of the transaction.</param>
public readonly record struct TransactionPlace(DateTime? DecidedAt, Guid Id)
{
    /// <summary>The place before every decided transaction. Npgsql writes the greatest time as infinity.</summary>
    public static readonly TransactionPlace FirstDecided = new(DateTime.MaxValue, Guid.AllBitsSet);

    /// <summary>The cursor that <see cref="TryParse"/> reads: the id and, after a dot, microseconds since 1970.</summary>
    public override string ToString() => DecidedAt is { } at
        ? string.Create(CultureInfo.InvariantCulture, $"{Id}.{(at - DateTime.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond}")
        : Id.ToString();

    public static bool TryParse(string? text, out TransactionPlace place)
    {
        place = default;
        var dot = text?.IndexOf('.') ?? -1;
        if (!Guid.TryParseExact(dot < 0 ? text : text![..dot], "D", out var id))
            return false;
        if (dot < 0)
        {
            place = new TransactionPlace(null, id);
            return true;
        }
        if (!long.TryParse(text.AsSpan(dot + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var microseconds)
            || microseconds > (DateTime.MaxValue - DateTime.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond)
            return false;
        place = new TransactionPlace(DateTime.UnixEpoch.AddTicks(microseconds * TimeSpan.TicksPerMicrosecond), id);
        return true;
    }
}
