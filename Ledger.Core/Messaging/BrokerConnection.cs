using Microsoft.Extensions.Logging;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace Ledger.Core.Messaging;

/// <summary>
/// The process's connection to RabbitMQ. Whoever works with it all the time asks for it when it starts over, and gets a new one if
/// the last has closed.
/// </summary>
public sealed partial class BrokerConnection(IConnectionFactory factory, ILogger<BrokerConnection> logger) : IAsyncDisposable
{
    // A broker that is well confirms within milliseconds, one that is busy within a second or two.
    private static readonly TimeSpan ConfirmPatience = TimeSpan.FromSeconds(15);

    // A broker that does not answer keeps nobody from ending: the client's own patience with it is much longer.
    private static readonly TimeSpan ClosePatience = TimeSpan.FromSeconds(1);

    private readonly SemaphoreSlim _opening = new(1);
    private volatile IConnection? _connection;
    private volatile string? _whyBlocked;

    /// <summary>The connection, if there is one that RabbitMQ reads from.</summary>
    public IConnection? Ready => _connection is { IsOpen: true } connection && !IsBlocked ? connection : null;

    /// <summary>
    /// Whether RabbitMQ is low on memory or disk, and has left off reading from this connection: it does so with each that has
    /// published something, until the alarm is over, and then reads all that was sent meanwhile.
    /// </summary>
    public bool IsBlocked => _whyBlocked is not null;

    /// <summary>Raised when <see cref="IsBlocked"/> has become true.</summary>
    public event Action? Blocked;

    /// <summary>The open connection, with the topology declared. Throws if the broker cannot be reached.</summary>
    public async Task<IConnection> OpenAsync(CancellationToken cancellationToken)
    {
        await _opening.WaitAsync(cancellationToken);
        try
        {
            if (_connection is { IsOpen: false } closed)
            {
                _connection = null;
                await closed.DisposeAsync();
            }
            var connection = _connection ??= await ConnectAsync(cancellationToken);
            if (_whyBlocked is { } reason)
                throw new IOException($"It takes no messages: {reason}");

            IChannel? channel = null;
            try
            {
                // Each time: whoever asks may be here because somebody deleted a queue.
                channel = await connection.CreateChannelAsync(cancellationToken: cancellationToken);
                await Topology.DeclareAsync(channel, cancellationToken);
            }
            catch (Exception e) when (e is OperationCanceledException or TimeoutException && !cancellationToken.IsCancellationRequested)
            {
                // The client forgets what it has asked in vain, and does not understand an answer that comes later.
                await GiveUpAsync(connection);
                throw new IOException("It did not answer in time", e);
            }
            catch (OperationInterruptedException e) when (e.ShutdownReason?.ReplyCode == Constants.PreconditionFailed)
            {
                // Somebody else made it, or another version. It says which queue, and what differs.
                throw new IOException(
                    $"A queue or exchange is there that was not made as this version makes it; delete it, and it is made anew: {e.ShutdownReason.ReplyText}", e);
            }
            finally
            {
                // After the connection was given up: otherwise to close the channel would wait for an answer as long again.
                if (channel is not null)
                    await channel.DisposeAsync();
            }
            return connection;
        }
        finally
        {
            _opening.Release();
        }
    }

    /// <summary>
    /// Publishes to the command queue and returns when RabbitMQ has confirmed the message, however long it is short of memory or disk. A confirm
    /// that does not come although it is not, because the queue has lost its leader for instance, ends the connection for all who use it: nothing
    /// would come after it on that channel either.
    /// </summary>
    /// <param name="channel">Of this connection, with publisher confirms.</param>
    /// <exception cref="PublishException">RabbitMQ has refused or returned the message.</exception>
    /// <exception cref="IOException">The confirm did not come.</exception>
    public async Task PublishCommandsAsync(IChannel channel, BasicProperties properties, ReadOnlyMemory<byte> envelope, CancellationToken cancellationToken)
    {
        var connection = _connection;
        var publishing = channel.BasicPublishAsync("", Topology.CommandQueue, mandatory: true, properties, envelope, cancellationToken).AsTask();
        bool wasBlocked;
        do
        {
            // The time of an alarm does not count.
            wasBlocked = IsBlocked;
            await publishing.WaitAsync(ConfirmPatience, CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        while (!publishing.IsCompleted && (wasBlocked || IsBlocked));

        if (!publishing.IsCompleted)
        {
            if (connection is not null)
                await GiveUpAsync(connection);
            await publishing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw new IOException($"It has not confirmed a message for {ConfirmPatience.TotalSeconds:0} s");
        }
        await publishing;
    }

    public async ValueTask DisposeAsync()
    {
        if (_connection is { } connection)
            await connection.DisposeAsync().AsTask().WaitAsync(ClosePatience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _opening.Dispose();
    }

    private async Task<IConnection> ConnectAsync(CancellationToken cancellationToken)
    {
        IConnection connection;
        try
        {
            connection = await factory.CreateConnectionAsync(cancellationToken);
        }
        catch (BrokerUnreachableException e)
        {
            // Its own message is the same for a wrong password and for a server that is down.
            throw new IOException(e.GetBaseException().Message, e);
        }
        _whyBlocked = null;
        connection.ConnectionBlockedAsync += (_, blocked) =>
        {
            _whyBlocked = blocked.Reason;
            LogBlocked(blocked.Reason);
            Blocked?.Invoke();
            return Task.CompletedTask;
        };
        connection.ConnectionUnblockedAsync += (_, _) =>
        {
            _whyBlocked = null;
            LogUnblocked();
            return Task.CompletedTask;
        };
        LogConnected(connection.Endpoint.ToString());
        return connection;
    }

    private static async Task GiveUpAsync(IConnection connection) =>
        await connection.AbortAsync().WaitAsync(ClosePatience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    [LoggerMessage(LogLevel.Information, "Connected to RabbitMQ at {Endpoint}")]
    private partial void LogConnected(string endpoint);

    [LoggerMessage(LogLevel.Warning, "RabbitMQ takes no messages: {Reason}")]
    private partial void LogBlocked(string reason);

    [LoggerMessage(LogLevel.Information, "RabbitMQ takes messages again")]
    private partial void LogUnblocked();
}
