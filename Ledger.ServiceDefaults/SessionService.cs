using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Ledger.ServiceDefaults;

/// <summary>Work that lasts as long as the connection to RabbitMQ does, and is begun anew, without a restart of the process, whenever that was lost.</summary>
public abstract partial class SessionService(ILogger logger) : BackgroundService
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    private volatile bool _isOpen;

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
                LogLost(e.Message);
            }
            IsOpen = false;
            OnSessionEnded();
            await Task.Delay(Pause, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    [LoggerMessage(LogLevel.Warning, "RabbitMQ is lost: {Reason}. Trying again")]
    private partial void LogLost(string reason);
}
