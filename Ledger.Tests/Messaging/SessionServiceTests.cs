using Ledger.ServiceDefaults;
using Microsoft.Extensions.Logging;

namespace Ledger.Tests.Messaging;

/// <summary>When a session service opens the next session, and what it logs, on a clock on which every pause ends at once.</summary>
public sealed class SessionServiceTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Pauses_between_sessions_grow_to_five_seconds()
    {
        var attempts = (await RunAsync(100, _ => throw new IOException("Connection refused"))).Attempts;

        Assert.InRange(attempts.Count(attempt => attempt <= TimeSpan.FromSeconds(1)), 4, 8);
        var pauses = Pauses(attempts);
        Assert.All(pauses, pause => Assert.InRange(pause, TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(5)));
        Assert.Equal(pauses.Order(), pauses);
        Assert.Equal(TimeSpan.FromSeconds(5), pauses[^1]);
        // Reconnecting prolongs an outage by half of its length at most.
        Assert.All(attempts.Skip(4).Zip(pauses.Skip(3)), pair => Assert.True(pair.Second <= (pair.First - pair.Second) / 2, $"{pair.Second} up to {pair.First}"));
    }

    [Fact]
    public async Task Pauses_are_short_again_after_an_open_session()
    {
        var pauses = Pauses((await RunAsync(100, session =>
        {
            session.IsAtWork = session.Attempts == 50;
            throw new IOException("Connection refused");
        })).Attempts);

        Assert.Equal(TimeSpan.FromSeconds(5), pauses[48]);
        Assert.InRange(pauses[49], TimeSpan.FromMilliseconds(100), TimeSpan.FromMilliseconds(500));
        Assert.Equal(TimeSpan.FromSeconds(5), pauses[^1]);
    }

    [Fact]
    public async Task Session_that_returns_is_followed_by_the_next_at_once() =>
        Assert.All(Pauses((await RunAsync(10, _ => { })).Attempts), pause => Assert.Equal(TimeSpan.Zero, pause));

    [Fact]
    public async Task Same_reason_is_logged_once_a_minute_and_another_at_once()
    {
        var (attempts, logged) = await RunAsync(100, session => throw new IOException(session.Attempts <= 50 ? "Connection refused" : "ACCESS_REFUSED"));

        Assert.Equal(attempts[0], logged[0].At);
        Assert.Contains("Connection refused", logged[0].Message, StringComparison.Ordinal);
        Assert.Contains(logged, line => line.At == attempts[50] && line.Message.Contains("ACCESS_REFUSED", StringComparison.Ordinal));
        foreach (var lines in logged.GroupBy(line => line.Message))
        {
            // The next attempt is up to five seconds after the minute.
            Assert.All(Pauses([.. lines.Select(line => line.At)]), pause => Assert.InRange(pause, TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(65)));
            Assert.True(lines.Count() > 2, lines.Key);
        }
    }

    private static TimeSpan[] Pauses(TimeSpan[] attempts) => [.. attempts.Zip(attempts.Skip(1), (earlier, later) => later - earlier)];

    /// <summary>Runs a number of attempts. Returns their times and the lines of the log.</summary>
    private static async Task<(TimeSpan[] Attempts, (TimeSpan At, string Message)[] Logged)> RunAsync(int attempts, Action<Session> attempt)
    {
        var clock = new ImpatientClock();
        var log = new TimedLog(clock);
        using var session = new Session(clock, log, attempts, attempt);
        await session.StartAsync(TestContext.Current.CancellationToken);
        await session.Enough.WaitAsync(Deadline, TestContext.Current.CancellationToken);
        await session.StopAsync(TestContext.Current.CancellationToken);
        return ([.. session.At], [.. log.Lines]);
    }

    private sealed class Session(ImpatientClock clock, ILogger logger, int attempts, Action<Session> attempt) : SessionService(logger, clock)
    {
        private readonly TaskCompletionSource _enough = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Enough => _enough.Task;

        public List<TimeSpan> At { get; } = [];

        public int Attempts => At.Count;

        public bool IsAtWork { set => IsOpen = value; }

        protected override async Task RunSessionAsync(CancellationToken stoppingToken)
        {
            At.Add(clock.Now);
            if (Attempts == attempts)
            {
                _enough.SetResult();
                await Task.Delay(Timeout.Infinite, stoppingToken);
            }
            attempt(this);
        }

        protected override void OnSessionEnded()
        {
        }
    }

    private sealed class ImpatientClock : TimeProvider
    {
        public TimeSpan Now { get; private set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            Now += dueTime;
            return base.CreateTimer(callback, state, TimeSpan.Zero, period);
        }
    }

    private sealed class TimedLog(ImpatientClock clock) : ILogger
    {
        public List<(TimeSpan At, string Message)> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Add((clock.Now, formatter(state, exception)));
    }
}
