using System.Collections.Frozen;
using Npgsql;

namespace Ledger.Core.Currencies;

/// <summary>The currencies of the ledger, cached for 5 s: an operator's change takes effect within seconds.</summary>
public sealed class CurrencyCatalog(NpgsqlDataSource database, TimeProvider clock) : IDisposable
{
    private static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _reading = new(1);
    private volatile FrozenDictionary<string, Currency>? _currencies;
    private long _readAt;

    /// <summary>All currencies by code, disabled ones too. They are at most 5 s old, or older while PostgreSQL is unavailable.</summary>
    public ValueTask<FrozenDictionary<string, Currency>> GetAsync(CancellationToken cancellationToken) =>
        _currencies is { } currencies && clock.GetElapsedTime(Volatile.Read(ref _readAt)) < MaxAge
            ? ValueTask.FromResult(currencies)
            : new(ReadAsync(cancellationToken));

    /// <summary>All currencies by code, read again if one of the codes is missing: it may have been added just now.</summary>
    public async ValueTask<FrozenDictionary<string, Currency>> GetAsync(IEnumerable<string> codes, CancellationToken cancellationToken)
    {
        var currencies = await GetAsync(cancellationToken);
        if (codes.All(currencies.ContainsKey))
            return currencies;
        await _reading.WaitAsync(cancellationToken);
        try
        {
            return await QueryAsync(cancellationToken);
        }
        finally
        {
            _reading.Release();
        }
    }

    /// <summary>Makes the next call read again, after this process has changed a currency.</summary>
    public void Expire() => Volatile.Write(ref _readAt, 0);

    private async Task<FrozenDictionary<string, Currency>> ReadAsync(CancellationToken cancellationToken)
    {
        // One caller reads; the others use the cached currencies meanwhile, if there are any.
        if (!await _reading.WaitAsync(_currencies is null ? Timeout.InfiniteTimeSpan : TimeSpan.Zero, cancellationToken))
            return _currencies!;
        try
        {
            if (_currencies is { } current && clock.GetElapsedTime(Volatile.Read(ref _readAt)) < MaxAge)
                return current;
            return await QueryAsync(cancellationToken);
        }
        catch (NpgsqlException) when (_currencies is not null)
        {
            return _currencies;
        }
        finally
        {
            _reading.Release();
        }
    }

    private async Task<FrozenDictionary<string, Currency>> QueryAsync(CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("select code, name, exponent, enabled from ledger.currencies");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var currencies = new List<Currency>();
        while (await reader.ReadAsync(cancellationToken))
            currencies.Add(new Currency(reader.GetString(0), reader.GetString(1), reader.GetInt16(2), reader.GetBoolean(3)));
        Volatile.Write(ref _readAt, clock.GetTimestamp());
        return _currencies = currencies.ToFrozenDictionary(currency => currency.Code);
    }

    public void Dispose() => _reading.Dispose();
}

public static class CurrencyCatalogExtensions
{
    /// <summary>The currency with a code, or <see cref="Currency.Unknown"/>.</summary>
    public static Currency Named(this IReadOnlyDictionary<string, Currency> currencies, string code) =>
        currencies.TryGetValue(code, out var currency) ? currency : Currency.Unknown(code);
}
