using Microsoft.Extensions.Logging;
using RabbitMQ.Client;

namespace Ledger.Core.Messaging;

/// <summary>
/// The process's connection to RabbitMQ. Whoever needs it asks for it each time it starts over, and gets a new one if the
/// last has closed.
/// </summary>
public sealed partial class BrokerConnection(IConnectionFactory factory, ILogger<BrokerConnection> logger) : IAsyncDisposable
{
    private readonly SemaphoreSlim _opening = new(1);
    private IConnection? _connection;

    public bool IsOpen => _connection is { IsOpen: true };

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
            if (_connection is null)
            {
                _connection = await factory.CreateConnectionAsync(cancellationToken);
                LogConnected(_connection.Endpoint.ToString());
            }

            // Each time: whoever asks may be here because somebody deleted a queue.
            await using var channel = await _connection.CreateChannelAsync(cancellationToken: cancellationToken);
            await Topology.DeclareAsync(channel, cancellationToken);
            return _connection;
        }
        finally
        {
            _opening.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_connection is { } connection)
        {
            // A broker that does not answer keeps nobody from ending: the client's own patience with it is much longer.
            await connection.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(1))
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        _opening.Dispose();
    }

    [LoggerMessage(LogLevel.Information, "Connected to RabbitMQ at {Endpoint}")]
    private partial void LogConnected(string endpoint);
}
