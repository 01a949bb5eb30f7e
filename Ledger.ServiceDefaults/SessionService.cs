using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Ledger.ServiceDefaults;

/// <summary>Work that lasts as long as the connection to RabbitMQ does, and is begun anew, without a restart of the process, whenever that was lost.</summary>
public abstract partial class SessionService(ILogger logger, TimeProvider clock) : BackgroundService
{
    // An outage of a second is over soon after that second, and one that lasts costs neither RabbitMQ nor the log four attempts a second.
    private static readonly TimeSpan ShortestPause = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    // What somebody must set right, a password for instance, may stay wrong for hours.
    private readonly OnceAMinute _losses = new(clock);
    private volatile bool _isOpen;

    /// <summary>What time is measured by.</summary>
    protected TimeProvider Clock { get; } = clock;

    /// <summary>Whether a session is at work; false while there is no way to RabbitMQ.</summary>
    public bool IsOpen
    {
        get => _isOpen;
        protected set => _isOpen = value;
    }

    /// <summary>
    /// One session. Sets <see cref="IsOpen"/> once it is at work. Throws when the connection is lost; if it returns, the next begins
    /// at once.
    /// </summary>
    protected abstract Task RunSessionAsync(CancellationToken stoppingToken);

    /// <summary>After each session; <see cref="IsOpen"/> is false by then if the connection was lost.</summary>
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

    // Half as long as it has been away: an outage becomes longer by no more than that.
    private static TimeSpan PauseAfter(TimeSpan outage) =>
        TimeSpan.FromTicks(Math.Clamp(outage.Ticks / 2, ShortestPause.Ticks, LongestPause.Ticks));

    [LoggerMessage(LogLevel.Warning, "RabbitMQ is lost: {Reason}. Trying again")]
    private partial void LogLost(string reason);
}
