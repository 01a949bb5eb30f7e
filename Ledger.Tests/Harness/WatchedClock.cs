using System.Threading.Channels;
using Microsoft.Extensions.Time.Testing;

namespace Ledger.Tests.Harness;

/// <summary>A clock that a test advances once the code under test waits.</summary>
internal sealed class WatchedClock : FakeTimeProvider
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(30);

    private readonly Channel<TimeSpan> _waits = Channel.CreateUnbounded<TimeSpan>();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = base.CreateTimer(callback, state, dueTime, period);
        _waits.Writer.TryWrite(dueTime);
        return timer;
    }

    /// <summary>Returns the length of the next wait once it has begun.</summary>
    public Task<TimeSpan> WaitAsync(CancellationToken cancellationToken) => _waits.Reader.ReadAsync(cancellationToken).AsTask().WaitAsync(s_deadline, cancellationToken);
}
