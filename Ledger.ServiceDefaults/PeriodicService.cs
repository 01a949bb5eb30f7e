using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Ledger.ServiceDefaults;

/// <summary>
/// A background duty that runs when its service starts, and again after each pause. A failure ends one run and is logged once a minute,
/// or at once if its reason is new.
/// </summary>
/// <param name="duty">The subject of the log message, such as "Sealing the journal".</param>
/// <param name="period">The pause between the end of a run and the start of the next one; zero disables the duty.</param>
public abstract partial class PeriodicService(string duty, TimeSpan period, TimeProvider clock, ILogger logger) : BackgroundService
{
    private readonly OnceAMinute _failures = new(clock);

    /// <summary>The clock for pauses and timestamps.</summary>
    protected TimeProvider Clock { get; } = clock;

    /// <summary>Runs the duty once.</summary>
    protected abstract Task RunAsync(CancellationToken stoppingToken);

    /// <summary>Called after a run that threw an exception.</summary>
    protected virtual void OnFailed()
    {
    }

    /// <inheritdoc />
    protected sealed override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (period > TimeSpan.Zero && !stoppingToken.IsCancellationRequested)
        {
            await TryRunAsync(stoppingToken);
            await Task.Delay(period, Clock, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Runs the duty once and logs a failure, unless the service is stopping.</summary>
    protected async Task TryRunAsync(CancellationToken stoppingToken)
    {
        try
        {
            await RunAsync(stoppingToken);
        }
        catch (Exception e)
        {
            OnFailed();
            if (!stoppingToken.IsCancellationRequested && _failures.IsDue(Connections.ReasonOf(e)))
                LogFailed(duty, Connections.ReasonOf(e));
        }
    }

    [LoggerMessage(LogLevel.Warning, "{Duty} failed and is tried again: {Reason}")]
    private partial void LogFailed(string duty, string reason);
}
