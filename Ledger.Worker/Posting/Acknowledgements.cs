using RabbitMQ.Client;

namespace Ledger.Worker.Posting;

/// <summary>
/// Acknowledges answered messages, many at a time. An acknowledgement is an entry in the queue's replicated log with a flush to
/// disk, and no client waits for it. RabbitMQ delivers the unacknowledged messages of a dead worker again; they are found decided.
/// </summary>
internal sealed class Acknowledgements : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    private readonly IChannel _channel;
    private readonly int _most;
    private readonly CancellationTokenSource _closed;
    private readonly SemaphoreSlim _sending = new(1);
    private readonly PeriodicTimer _timer = new(Interval);
    private readonly Task _ticking;
    private ulong _lastTag;
    private int _waiting;

    /// <param name="most">The largest number of answered messages that are not acknowledged.</param>
    /// <param name="closed">Ends the session; cancelled here if the channel takes no acknowledgement.</param>
    public Acknowledgements(IChannel channel, int most, CancellationTokenSource closed)
    {
        (_channel, _most, _closed) = (channel, most, closed);
        _ticking = TickAsync();
    }

    /// <summary>Adds <paramref name="messages"/> answered messages, the last of which has this tag.</summary>
    public async Task AddAsync(ulong tag, int messages)
    {
        await _sending.WaitAsync(_closed.Token);
        try
        {
            (_lastTag, _waiting) = (tag, _waiting + messages);
            if (_waiting >= _most)
                await SendAsync();
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>Acknowledges these messages one by one, and rejects those in <paramref name="refused"/>: RabbitMQ moves them to the dead letters.</summary>
    public async Task SettleAsync(IReadOnlyList<Delivery> deliveries, IReadOnlySet<ulong> refused)
    {
        await _sending.WaitAsync(_closed.Token);
        try
        {
            // The waiting messages first: their tags are lower.
            await SendAsync();
            foreach (var delivery in deliveries)
            {
                if (refused.Contains(delivery.Tag))
                    await _channel.BasicRejectAsync(delivery.Tag, requeue: false, _closed.Token);
                else
                    await _channel.BasicAckAsync(delivery.Tag, multiple: false, _closed.Token);
            }
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>Acknowledges the rest, unless the session has ended.</summary>
    public async ValueTask DisposeAsync()
    {
        _timer.Dispose();
        await _ticking;
        if (!_closed.IsCancellationRequested)
            await SendAsync();
        _sending.Dispose();
    }

    private async Task TickAsync()
    {
        try
        {
            while (await _timer.WaitForNextTickAsync())
            {
                await _sending.WaitAsync(_closed.Token);
                try
                {
                    await SendAsync();
                }
                finally
                {
                    _sending.Release();
                }
            }
        }
        catch
        {
            await _closed.CancelAsync();
        }
    }

    private async Task SendAsync()
    {
        if (_waiting == 0)
            return;
        await _channel.BasicAckAsync(_lastTag, multiple: true, _closed.Token);
        _waiting = 0;
    }
}
