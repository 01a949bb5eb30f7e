using Microsoft.Extensions.Logging;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace Ledger.Core.Messaging;

/// <summary>
/// The process's connection to RabbitMQ. Call <see cref="OpenAsync"/> at the start of each session; it reconnects if the previous
/// connection was closed.
/// </summary>
public sealed partial class BrokerConnection(IConnectionFactory factory, ILogger<BrokerConnection> logger) : IAsyncDisposable
{
    // RabbitMQ confirms within milliseconds, and within a second or two under load.
    private static readonly TimeSpan ConfirmPatience = TimeSpan.FromSeconds(15);

    // The client library waits much longer for a RabbitMQ that does not answer, and would delay the end of the process.
    private static readonly TimeSpan ClosePatience = TimeSpan.FromSeconds(1);

    private readonly SemaphoreSlim _opening = new(1);
    private volatile Link? _link;

    /// <summary>The connection, if it is open and RabbitMQ reads from it; otherwise null.</summary>
    public IConnection? Ready => _link is { Connection: { IsOpen: true } connection, WhyBlocked: null } ? connection : null;

    /// <summary>
    /// Whether RabbitMQ is low on memory or disk and does not read from this connection. It stops reading from each connection that
    /// publishes until the alarm is over, and then reads what was sent meanwhile.
    /// </summary>
    public bool IsBlocked => _link?.WhyBlocked is not null;

    /// <summary>Raised when <see cref="IsBlocked"/> becomes true.</summary>
    public event Action? Blocked;

    /// <summary>Returns the open connection, with the topology declared.</summary>
    /// <exception cref="IOException">RabbitMQ cannot be reached, refuses the connection, or takes no messages.</exception>
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
                throw new IOException($"RabbitMQ takes no messages: {reason}");

            IChannel? channel = null;
            try
            {
                // Declared for each session: the previous one may have ended because a queue was deleted.
                channel = await InTimeAsync(connection, connection.CreateChannelAsync(cancellationToken: cancellationToken), cancellationToken);
                await InTimeAsync(connection, Topology.DeclareAsync(channel, cancellationToken), cancellationToken);
            }
            catch (OperationInterruptedException e) when (e.ShutdownReason?.ReplyCode == Constants.PreconditionFailed)
            {
                // RabbitMQ's text names the queue and the difference.
                throw new IOException(
                    $"A queue or exchange exists with other arguments than this version declares; delete it, and it is declared anew: {e.ShutdownReason.ReplyText}", e);
            }
            catch (OperationInterruptedException e) when (e.ShutdownReason?.ReplyCode == Constants.NotAllowed)
            {
                // RabbitMQ checks the virtual host after the client reports the connection as open.
                throw Refused(e.ShutdownReason.ReplyText, e);
            }
            finally
            {
                // A call that timed out has ended the connection already, so that closing the channel does not wait for RabbitMQ.
                if (channel is not null)
                    await channel.DisposeAsync();
            }
            if (!link.IsLogged)
                LogConnected(connection.Endpoint.ToString());
            link.IsLogged = true;
            return connection;
        }
        finally
        {
            _opening.Release();
        }
    }

    /// <summary>
    /// Awaits a call to RabbitMQ. A call without an answer in time ends the connection: RabbitMQ may still execute the call, and would
    /// keep channels, queues and consumers that this process does not know of.
    /// </summary>
    /// <exception cref="IOException">RabbitMQ did not answer in time.</exception>
    public static async Task InTimeAsync(IConnection connection, Task asked, CancellationToken cancellationToken)
    {
        try
        {
            await asked;
        }
        catch (Exception e) when (e is OperationCanceledException or TimeoutException && !cancellationToken.IsCancellationRequested)
        {
            await GiveUpAsync(connection);
            throw new IOException("RabbitMQ did not answer in time", e);
        }
    }

    /// <inheritdoc cref="InTimeAsync(IConnection, Task, CancellationToken)"/>
    public static async Task<T> InTimeAsync<T>(IConnection connection, Task<T> asked, CancellationToken cancellationToken)
    {
        await InTimeAsync(connection, (Task)asked, cancellationToken);
        return await asked;
    }

    /// <summary>
    /// Publishes to the command queue and returns when RabbitMQ has confirmed the message. The wait is not bounded while RabbitMQ is
    /// low on memory or disk. Otherwise a confirm that does not come in time, for instance because the queue has lost its leader, ends
    /// the connection: the channel would get no later confirm either.
    /// </summary>
    /// <param name="channel">A channel of this connection with publisher confirms.</param>
    /// <exception cref="PublishException">RabbitMQ refused or returned the message.</exception>
    /// <exception cref="IOException">RabbitMQ did not confirm the message in time.</exception>
    public async Task PublishCommandsAsync(IChannel channel, BasicProperties properties, ReadOnlyMemory<byte> envelope, CancellationToken cancellationToken)
    {
        var connection = _link?.Connection;
        var publishing = channel.BasicPublishAsync("", Topology.CommandQueue, mandatory: true, properties, envelope, cancellationToken).AsTask();
        bool wasBlocked;
        do
        {
            // Time during an alarm does not count.
            wasBlocked = IsBlocked;
            await publishing.WaitAsync(ConfirmPatience, CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        while (!publishing.IsCompleted && (wasBlocked || IsBlocked));

        if (!publishing.IsCompleted)
        {
            if (connection is not null)
                await GiveUpAsync(connection);
            await publishing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw new IOException($"RabbitMQ did not confirm a message within {ConfirmPatience.TotalSeconds:0} s");
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
            // The message of this exception is the same for a wrong password and for a server that is down.
            var reason = e.GetBaseException();
            throw reason is AuthenticationFailureException ? Refused(reason.Message, e) : new IOException(reason.Message, e);
        }
        var link = new Link(connection);
        connection.ConnectionBlockedAsync += (_, blocked) =>
        {
            link.WhyBlocked = blocked.Reason;
            // Late notices of a replaced connection are ignored.
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
        new($"RabbitMQ refuses the user, password or virtual host of ConnectionStrings__messaging: {reason}", inner);

    private static async Task GiveUpAsync(IConnection connection) =>
        await connection.AbortAsync().WaitAsync(ClosePatience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    // A connection and its own state: RabbitMQ may report a block after the connection was replaced.
    private sealed class Link(IConnection connection)
    {
        private volatile string? _whyBlocked;

        public IConnection Connection => connection;

        /// <summary>RabbitMQ's reason for not reading from the connection; null while it reads.</summary>
        public string? WhyBlocked
        {
            get => _whyBlocked;
            set => _whyBlocked = value;
        }

        /// <summary>Whether the log says that the connection is open.</summary>
        public bool IsLogged { get; set; }
    }

    [LoggerMessage(LogLevel.Information, "Connected to RabbitMQ at {Endpoint}")]
    private partial void LogConnected(string endpoint);

    [LoggerMessage(LogLevel.Warning, "RabbitMQ takes no messages: {Reason}")]
    private partial void LogBlocked(string reason);

    [LoggerMessage(LogLevel.Information, "RabbitMQ takes messages again")]
    private partial void LogUnblocked();
}
