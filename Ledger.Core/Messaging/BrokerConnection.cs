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
    private volatile Link? _link;

    /// <summary>The connection, if there is one that RabbitMQ reads from.</summary>
    public IConnection? Ready => _link is { Connection: { IsOpen: true } connection, WhyBlocked: null } ? connection : null;

    /// <summary>
    /// Whether RabbitMQ is low on memory or disk, and has left off reading from this connection: it does so with each that has
    /// published something, until the alarm is over, and then reads all that was sent meanwhile.
    /// </summary>
    public bool IsBlocked => _link?.WhyBlocked is not null;

    /// <summary>Raised when <see cref="IsBlocked"/> has become true.</summary>
    public event Action? Blocked;

    /// <summary>The open connection, with the topology declared. Throws if the broker cannot be reached.</summary>
    public async Task<IConnection> OpenAsync(CancellationToken cancellationToken)
    {
        await _opening.WaitAsync(cancellationToken);
        try
        {
            if (_link is { Connection: { IsOpen: false } closed })
            {
                _link = null;
                await closed.DisposeAsync();
            }
            var link = _link ??= await ConnectAsync(cancellationToken);
            var connection = link.Connection;
            if (link.WhyBlocked is { } reason)
                throw new IOException($"It takes no messages: {reason}");

            IChannel? channel = null;
            try
            {
                // Each time: whoever asks may be here because somebody deleted a queue.
                channel = await InTimeAsync(connection, connection.CreateChannelAsync(cancellationToken: cancellationToken), cancellationToken);
                await InTimeAsync(connection, Topology.DeclareAsync(channel, cancellationToken), cancellationToken);
            }
            catch (OperationInterruptedException e) when (e.ShutdownReason?.ReplyCode == Constants.PreconditionFailed)
            {
                // Somebody else made it, or another version. It says which queue, and what differs.
                throw new IOException(
                    $"A queue or exchange is there that was not made as this version makes it; delete it, and it is made anew: {e.ShutdownReason.ReplyText}", e);
            }
            catch (OperationInterruptedException e) when (e.ShutdownReason?.ReplyCode == Constants.NotAllowed)
            {
                // It looks for the virtual host when the client takes itself for connected.
                throw Refused(e.ShutdownReason.ReplyText, e);
            }
            finally
            {
                // After the connection was given up: otherwise to close the channel would wait for an answer as long again.
                if (channel is not null)
                    await channel.DisposeAsync();
            }
            if (!link.IsTold)
                LogConnected(connection.Endpoint.ToString());
            link.IsTold = true;
            return connection;
        }
        finally
        {
            _opening.Release();
        }
    }

    /// <summary>
    /// Awaits what RabbitMQ was asked on a connection. An answer that does not come in time ends the connection for all who use it: the client
    /// forgets what it has asked in vain, but RabbitMQ does it, and would keep channels, queues and consumers that nobody knows of.
    /// </summary>
    /// <exception cref="IOException">It did not answer in time.</exception>
    public static async Task InTimeAsync(IConnection connection, Task asked, CancellationToken cancellationToken)
    {
        try
        {
            await asked;
        }
        catch (Exception e) when (e is OperationCanceledException or TimeoutException && !cancellationToken.IsCancellationRequested)
        {
            await GiveUpAsync(connection);
            throw new IOException("It did not answer in time", e);
        }
    }

    /// <inheritdoc cref="InTimeAsync(IConnection, Task, CancellationToken)"/>
    public static async Task<T> InTimeAsync<T>(IConnection connection, Task<T> asked, CancellationToken cancellationToken)
    {
        await InTimeAsync(connection, (Task)asked, cancellationToken);
        return await asked;
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
        var connection = _link?.Connection;
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
        if (_link is { Connection: var connection })
            await connection.DisposeAsync().AsTask().WaitAsync(ClosePatience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _opening.Dispose();
    }

    private async Task<Link> ConnectAsync(CancellationToken cancellationToken)
    {
        IConnection connection;
        try
        {
            connection = await factory.CreateConnectionAsync(cancellationToken);
        }
        catch (BrokerUnreachableException e)
        {
            // Its own message is the same for a wrong password and for a server that is down.
            var reason = e.GetBaseException();
            throw reason is AuthenticationFailureException ? Refused(reason.Message, e) : new IOException(reason.Message, e);
        }
        var link = new Link(connection);
        connection.ConnectionBlockedAsync += (_, blocked) =>
        {
            link.WhyBlocked = blocked.Reason;
            // What an old connection had still to say concerns nobody.
            if (link == _link)
            {
                LogBlocked(blocked.Reason);
                Blocked?.Invoke();
            }
            return Task.CompletedTask;
        };
        connection.ConnectionUnblockedAsync += (_, _) =>
        {
            link.WhyBlocked = null;
            if (link == _link)
                LogUnblocked();
            return Task.CompletedTask;
        };
        return link;
    }

    private static IOException Refused(string reason, Exception inner) =>
        new($"It refuses the user, password or virtual host of ConnectionStrings__messaging: {reason}", inner);

    private static async Task GiveUpAsync(IConnection connection) =>
        await connection.AbortAsync().WaitAsync(ClosePatience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    // What RabbitMQ says of a connection holds for that one: it may say it when there is another.
    private sealed class Link(IConnection connection)
    {
        private volatile string? _whyBlocked;

        public IConnection Connection => connection;

        /// <summary>Null while RabbitMQ reads from it.</summary>
        public string? WhyBlocked
        {
            get => _whyBlocked;
            set => _whyBlocked = value;
        }

        /// <summary>Whether the log has that it is there.</summary>
        public bool IsTold { get; set; }
    }

    [LoggerMessage(LogLevel.Information, "Connected to RabbitMQ at {Endpoint}")]
    private partial void LogConnected(string endpoint);

    [LoggerMessage(LogLevel.Warning, "RabbitMQ takes no messages: {Reason}")]
    private partial void LogBlocked(string reason);

    [LoggerMessage(LogLevel.Information, "RabbitMQ takes messages again")]
    private partial void LogUnblocked();
}
