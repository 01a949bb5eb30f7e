using System.Globalization;

namespace Ledger.Api.Transactions;

/// <summary>What a client asks for with <c>Prefer</c> (RFC 7240): not to wait, or how long.</summary>
public readonly record struct Preference(bool RespondAsync, TimeSpan? Wait)
{
    private const int MaxWaitSeconds = 60;

    /// <summary>
    /// Reads the header. What it does not know, it ignores, and of several waits it takes the first, as the RFC asks.
    /// </summary>
    public static Preference Of(HttpRequest request)
    {
        var (respondAsync, wait) = (false, (int?)null);
        foreach (var header in request.Headers["Prefer"])
        {
            foreach (var part in (header ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                if (part.Equals("respond-async", StringComparison.OrdinalIgnoreCase))
                    respondAsync = true;
                else if (wait is null && part.StartsWith("wait=", StringComparison.OrdinalIgnoreCase)
                    && int.TryParse(part.AsSpan(5).Trim('"'), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds))
                    wait = seconds;
            }
        }
        return wait switch
        {
            null => new(respondAsync, null),
            // Not to wait at all is to ask for 202.
            0 => new(true, null),
            // With respond-async too: 202 when the time is over, and that is so anyway.
            { } seconds => new(false, TimeSpan.FromSeconds(Math.Min(seconds, MaxWaitSeconds))),
        };
    }
}
