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

    /// <summary>
    /// Returns once a credential that was just revoked is refused (401); fails the test where one that is asked with later than
    /// that is still let in. When it was asked counts, not when a busy machine came to answer.
    /// </summary>
    public static async Task RefusedAsync(TimeSpan within, Func<Task<Answer>> ask)
    {
        var revoked = Stopwatch.GetTimestamp();
        await TrueAsync(async () =>
        {
            var age = Stopwatch.GetElapsedTime(revoked);
            var answer = await ask();
            Assert.False(answer.Status is >= 200 and < 300 && age > within, $"What was revoked {age.TotalSeconds:0.0} s before is still let in.");
            return answer.Status == 401;
        });
    }
}
