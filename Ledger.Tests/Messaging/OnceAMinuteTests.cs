using Ledger.ServiceDefaults;

namespace Ledger.Tests.Messaging;

/// <summary>What lasts is told of at first and once a minute, whoever asks how often.</summary>
public sealed class OnceAMinuteTests
{
    [Fact]
    public void Lasting_reason_is_due_at_once_and_then_once_a_minute()
    {
        var clock = new Clock();
        var telling = new OnceAMinute(clock);
        var told = new List<int>();

        for (; clock.Seconds <= 150; clock.Seconds += 10)
        {
            if (telling.IsDue())
                told.Add(clock.Seconds);
        }

        Assert.Equal([0, 60, 120], told);
    }

    [Fact]
    public void Other_reason_is_due_at_once()
    {
        var telling = new OnceAMinute(new Clock());

        string[] reasons = ["full", "full", "gone", "gone", "full"];

        Assert.Equal([true, false, true, false, true], reasons.Select(telling.IsDue));
    }

    private sealed class Clock : TimeProvider
    {
        public int Seconds { get; set; }

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => Seconds;
    }
}
