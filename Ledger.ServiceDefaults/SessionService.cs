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
    /// One session, from connecting to the loss of the connection, which it throws. Sets <see cref="IsOpen"/> once it is at work. One
    /// that returns is followed by the next at once.
    /// </summary>
    protected abstract Task RunSessionAsync(CancellationToken stoppingToken);

    /// <summary>After each session, however it ended; <see cref="IsOpen"/> is false by then.</summary>
    protected abstract void OnSessionEnded();

    /// <inheritdoc />
    protected sealed override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await RunSessionAsync(stoppingToken);
                continue;
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                break;
            }
            catch (Exception e)
            {
                LogLost(e.Message);
            }
            finally
            {
                IsOpen = false;
                OnSessionEnded();
            }
            await Task.Delay(Pause, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    [LoggerMessage(LogLevel.Warning, "RabbitMQ is lost: {Reason}. Trying again")]
    private partial void LogLost(string reason);
}
