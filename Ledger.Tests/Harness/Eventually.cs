using System.Diagnostics;

namespace Ledger.Tests.Harness;

/// <summary>Waits on states, never on time; and not for ever.</summary>
public static class Eventually
{
    private static readonly TimeSpan DefaultDeadline = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(25);

    /// <summary>Returns once the condition holds; fails the test where it does not in time.</summary>
    public static async Task TrueAsync(Func<Task<bool>> condition, TimeSpan? within = null, Func<string>? otherwise = null)
    {
        var deadline = within ?? DefaultDeadline;
        var start = Stopwatch.GetTimestamp();
        while (!await condition())
        {
            if (Stopwatch.GetElapsedTime(start) > deadline)
                Assert.Fail($"{otherwise?.Invoke() ?? "Nothing came of it."} Waited {deadline.TotalSeconds:0} s.");
            await Task.Delay(Interval);
        }
    }
}
