using System.Collections.Concurrent;

namespace Ledger.Api.Identity;

/// <summary>
/// Access tokens that were checked, so that a client's next request need not check again. Only genuine tokens are cached. The cache has two
/// generations and drops the older one when the younger is full, so it is bounded and keeps tokens in use.
/// </summary>
internal sealed class TokenCache<TToken> where TToken : class
{
    private const int Generation = 16_384;

    private readonly Lock _turning = new();
    private volatile ConcurrentDictionary<string, TToken> _young = new(StringComparer.Ordinal);
    private volatile ConcurrentDictionary<string, TToken> _old = new(StringComparer.Ordinal);
    private int _count;

    public TToken? Find(string token)
    {
        if (_young.TryGetValue(token, out var found))
            return found;
        if (!_old.TryGetValue(token, out found))
            return null;
        Add(token, found);
        return found;
    }

    /// <summary>Adds a token, or replaces what is cached of it.</summary>
    public void Add(string token, TToken read)
    {
        var young = _young;
        if (!young.TryAdd(token, read))
        {
            young[token] = read;
            return;
        }
        if (Interlocked.Increment(ref _count) < Generation)
            return;
        lock (_turning)
        {
            if (Volatile.Read(ref _count) < Generation)
                return;
            _old = _young;
            _young = new(StringComparer.Ordinal);
            Volatile.Write(ref _count, 0);
        }
    }
}
