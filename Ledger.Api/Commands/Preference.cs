using System.Globalization;

namespace Ledger.Api.Commands;

/// <summary>What a client asks for with <c>Prefer</c> (RFC 7240): not to wait, or how long.</summary>
public readonly record struct Preference(bool RespondAsync, TimeSpan? Wait)
{
    private const int MaxWaitSeconds = 60;

    /// <summary>Reads the header. What it does not know, it ignores, as the RFC asks.</summary>
    public static Preference Of(HttpRequest request)
    {
        var preference = default(Preference);
        foreach (var header in request.Headers["Prefer"])
        {
            foreach (var part in (header ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                if (part.Equals("respond-async", StringComparison.OrdinalIgnoreCase))
                    preference = preference with { RespondAsync = true };
                else if (part.StartsWith("wait=", StringComparison.OrdinalIgnoreCase)
                    && int.TryParse(part.AsSpan(5).Trim('"'), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds))
                {
                    // Not to wait at all is to ask for 202.
                    preference = seconds == 0
                        ? preference with { RespondAsync = true }
                        : preference with { Wait = TimeSpan.FromSeconds(Math.Min(seconds, MaxWaitSeconds)) };
                }
            }
        }
        return preference;
    }
}
