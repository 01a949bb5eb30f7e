using RabbitMQ.Client;

namespace Ledger.Worker.Posting;

/// <summary>
/// Acknowledges messages that are done, many at a time. An acknowledgement is an entry in the queue's replicated log, written to
/// disk like a message is; and nobody waits for it. What a worker that dies had not acknowledged comes back, and is found decided.
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

    /// <param name="most">How many messages may be done and not acknowledged.</param>
    /// <param name="closed">Ends the session; cancelled here, if the channel takes no acknowledgement.</param>
    public Acknowledgements(IChannel channel, int most, CancellationTokenSource closed)
    {
        (_channel, _most, _closed) = (channel, most, closed);
        _ticking = TickAsync();
    }

    /// <summary>Everything up to this tag is done: <paramref name="messages"/> more than before.</summary>
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

    /// <summary>Acknowledges these messages one by one, but has RabbitMQ itself move those that are <paramref name="refused"/> to the dead letters.</summary>
    public async Task SettleAsync(IReadOnlyList<Delivery> deliveries, IReadOnlySet<ulong> refused)
    {
        await _sending.WaitAsync(_closed.Token);
        try
        {
            // First what waits: its tags are lower, and these are settled one by one.
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

    /// <summary>Acknowledges the rest, as long as the session lasts.</summary>
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
