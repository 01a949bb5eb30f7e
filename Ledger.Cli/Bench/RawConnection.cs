using System.Net.Sockets;
using System.Runtime.CompilerServices;

namespace Ledger.Cli.Bench;

/// <summary>A keep-alive connection that sends HTTP requests given as bytes and waits for each response.</summary>
/// <remarks>
/// The generator takes CPU time from the system that it measures on the same machine. HttpClient would take several times as much:
/// allocations, header collections, pooling and hops between threads.
/// </remarks>
internal sealed class RawConnection(Uri url) : IDisposable
{
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly byte[] _received = new byte[32 * 1024];
    private int _length;

    public ValueTask ConnectAsync() => _socket.ConnectAsync(url.Host, url.Port, CancellationToken.None);

    /// <summary>Sends a request and returns when the response is complete. Does not allocate.</summary>
    /// <exception cref="IOException">The connection was closed, or the response is malformed or larger than 32 KiB.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<RawResponse> ExchangeAsync(ReadOnlyMemory<byte> request)
    {
        // A request of this size fits into the socket buffer.
        if (await _socket.SendAsync(request) != request.Length)
            throw new IOException("The request was sent only in part.");
        _length = 0;
        while (true)
        {
            var count = await _socket.ReceiveAsync(_received.AsMemory(_length));
            if (count == 0)
                throw new IOException(_length < _received.Length ? "The connection was closed." : "The response is larger than the buffer.");
            _length += count;
            if (RawResponse.TryParse(_received.AsSpan(0, _length), out var response))
                return response;
        }
    }

    /// <summary>The body of the latest response.</summary>
    public string BodyOf(RawResponse response) => response.BodyOf(_received.AsSpan(0, _length));

    public void Dispose() => _socket.Dispose();
}
