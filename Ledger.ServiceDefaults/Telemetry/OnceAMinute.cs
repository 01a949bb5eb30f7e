namespace Ledger.ServiceDefaults;

/// <summary>Limits repeated log messages to one a minute, unless the reason changes. Thread-safe.</summary>
public sealed class OnceAMinute(TimeProvider clock)
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();
    private (string Reason, long At)? _logged;

    /// <summary>Whether to log now. If true, the message counts as logged.</summary>
    /// <param name="reason">A reason that differs from the last one is logged at once.</param>
    public bool IsDue(string reason = "")
    {
        lock (_lock)
        {
            if (_logged is var (last, at) && last == reason && clock.GetElapsedTime(at) < Minute)
                return false;
            _logged = (reason, clock.GetTimestamp());
            return true;
        }
    }
}
