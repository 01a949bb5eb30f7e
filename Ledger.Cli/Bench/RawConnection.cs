using System.Net.Sockets;
using System.Runtime.CompilerServices;

namespace Ledger.Cli.Bench;

/// <summary>
/// One keep-alive connection that sends bytes which are an HTTP request and waits for the response.
/// </summary>
/// <remarks>
/// Not HttpClient: the generator shares the machine with the system that it measures, and what it spends, the system does not
/// have. HttpClient costs several times what this does, in allocations, header collections, pooling and hops between threads.
/// </remarks>
internal sealed class RawConnection(Uri url) : IDisposable
{
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly byte[] _received = new byte[32 * 1024];
    private int _length;

    public ValueTask ConnectAsync() => _socket.ConnectAsync(url.Host, url.Port, CancellationToken.None);

    /// <summary>Sends a request and returns when the whole response is there. Allocates nothing.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<RawResponse> ExchangeAsync(ReadOnlyMemory<byte> request)
    {
        // The kernel's buffer takes a request of this size at once.
        if (await _socket.SendAsync(request) != request.Length)
            throw new IOException("The request was sent in part.");
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

    /// <summary>The body of the response that was received last.</summary>
    public string BodyOf(RawResponse response) => response.BodyOf(_received.AsSpan(0, _length));

    public void Dispose() => _socket.Dispose();
}
