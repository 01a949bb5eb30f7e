using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Ledger.ServiceDefaults;

/// <summary>A background service that works in sessions, each on one connection to RabbitMQ, and starts a new session after each loss.</summary>
public abstract partial class SessionService(ILogger logger, TimeProvider clock) : BackgroundService
{
    // Short outages need quick attempts; long ones must not load RabbitMQ and the log with four attempts a second.
    private static readonly TimeSpan ShortestPause = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    // A wrong password, for example, can persist for hours.
    private readonly OnceAMinute _losses = new(clock);
    private volatile bool _isOpen;

    /// <summary>The clock for pauses and timestamps.</summary>
    protected TimeProvider Clock { get; } = clock;

    /// <summary>Whether a session is working; false while RabbitMQ cannot be reached.</summary>
    public bool IsOpen
    {
        get => _isOpen;
        protected set => _isOpen = value;
    }

    /// <summary>
    /// Runs one session. Sets <see cref="IsOpen"/> once it works, and throws when the connection is lost. If it returns, the next
    /// session starts without a pause.
    /// </summary>
    protected abstract Task RunSessionAsync(CancellationToken stoppingToken);

    /// <summary>Called after each session; <see cref="IsOpen"/> is false if the connection was lost.</summary>
    protected abstract void OnSessionEnded();

    /// <inheritdoc />
    protected sealed override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var lost = Clock.GetTimestamp();
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await RunSessionAsync(stoppingToken);
                OnSessionEnded();
                continue;
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
            }
            catch (Exception e)
            {
                if (IsOpen)
                    lost = Clock.GetTimestamp();
                if (_losses.IsDue(e.Message))
                    LogLost(e.Message.TrimEnd('.'));
            }
            IsOpen = false;
            OnSessionEnded();
            await Task.Delay(PauseAfter(Clock.GetElapsedTime(lost)), Clock, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    // Half of the outage so far, so that reconnecting prolongs an outage by half at most.
    private static TimeSpan PauseAfter(TimeSpan outage) =>
        TimeSpan.FromTicks(Math.Clamp(outage.Ticks / 2, ShortestPause.Ticks, LongestPause.Ticks));

    [LoggerMessage(LogLevel.Warning, "No connection to RabbitMQ: {Reason}. Retrying")]
    private partial void LogLost(string reason);
}
