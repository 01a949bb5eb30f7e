using Ledger.ServiceDefaults;
using Microsoft.Extensions.Time.Testing;

namespace Ledger.Tests.Background;

/// <summary>A message with the same reason is logged once a minute, however often it is due.</summary>
public sealed class OnceAMinuteTests
{
    [Fact]
    public void Same_reason_is_due_at_once_and_then_once_a_minute()
    {
        var clock = new FakeTimeProvider();
        var limit = new OnceAMinute(clock);
        var due = new List<int>();

        for (var second = 0; second <= 150; second += 10)
        {
            if (limit.IsDue())
                due.Add(second);
            clock.Advance(TimeSpan.FromSeconds(10));
        }

        Assert.Equal([0, 60, 120], due);
    }

    [Fact]
    public void Other_reason_is_due_at_once()
    {
        var limit = new OnceAMinute(new FakeTimeProvider());

        string[] reasons = ["full", "full", "gone", "gone", "full"];

        Assert.Equal([true, false, true, false, true], reasons.Select(limit.IsDue));
    }
}
