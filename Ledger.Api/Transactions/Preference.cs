using System.Globalization;

namespace Ledger.Api.Transactions;

/// <summary>The <c>Prefer</c> header (RFC 7240): whether and how long the client waits for the decision.</summary>
public readonly record struct Preference(bool RespondAsync, TimeSpan? Wait)
{
    private const int MaxWaitSeconds = 60;

    /// <summary>Reads the header. Unknown preferences are ignored, and the first of several waits counts (RFC 7240, section 2).</summary>
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
            // No wait is the same as respond-async.
            0 => new(true, null),
            // A wait overrides respond-async: the client gets 202 when the wait ends.
            { } seconds => new(false, TimeSpan.FromSeconds(Math.Min(seconds, MaxWaitSeconds))),
        };
    }
}
