namespace Ledger.ServiceDefaults;

/// <summary>Whether to tell of what goes on: when it begins, and once a minute for as long as it lasts. For any number of threads.</summary>
public sealed class OnceAMinute(TimeProvider clock)
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();
    private (string Reason, long At)? _told;

    /// <summary>True if it is to be told now; then it counts as told.</summary>
    /// <param name="reason">Another one than was told last is told at once.</param>
    public bool IsDue(string reason = "")
    {
        lock (_lock)
        {
            if (_told is var (last, at) && last == reason && clock.GetElapsedTime(at) < Minute)
                return false;
            _told = (reason, clock.GetTimestamp());
            return true;
        }
    }
}
