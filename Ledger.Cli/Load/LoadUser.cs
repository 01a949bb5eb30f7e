using Ledger.Core.Currencies;

namespace Ledger.Cli.Load;

/// <summary>A user that the run registered, with the user's books. Only the run moves the user's money.</summary>
internal sealed class LoadUser(Guid id, Credentials credentials, IReadOnlyList<Currency> currencies)
{
    private volatile string _bearer = "";

    public Guid Id { get; } = id;

    public Credentials Credentials { get; } = credentials;

    /// <summary>One wallet per currency, in the order of the run's currencies.</summary>
    public IReadOnlyList<Wallet> Wallets { get; } = [.. currencies.Select(currency => new Wallet(currency))];

    /// <summary>The transactions that the API must list as posted: those that the user sent or received.</summary>
    public History Posted { get; } = new();

    /// <summary>The transactions that the API must list as rejected.</summary>
    public History Rejected { get; } = new();

    /// <summary>The value of the Authorization header.</summary>
    public string Bearer
    {
        get => _bearer;
        set => _bearer = value;
    }
}

/// <summary>The run's books of one user in one currency, in minor units.</summary>
internal sealed class Wallet(Currency currency)
{
    private long _posted;
    private long _spendable;

    public Currency Currency { get; } = currency;

    /// <summary>The balance according to the answers.</summary>
    public long Posted => Volatile.Read(ref _posted);

    /// <summary>
    /// Reserves the amount of a debit; false if it is not covered. Credits count once they are answered, debits once they are sent,
    /// so the ledger has at least the reserved amount: if it rejects the debit, the ledger is wrong.
    /// </summary>
    public bool TryReserve(long amount)
    {
        var spendable = Volatile.Read(ref _spendable);
        while (spendable >= amount)
        {
            var seen = Interlocked.CompareExchange(ref _spendable, spendable - amount, spendable);
            if (seen == spendable)
                return true;
            spendable = seen;
        }
        return false;
    }

    public void Release(long amount) => Interlocked.Add(ref _spendable, amount);

    public void Debit(long amount) => Interlocked.Add(ref _posted, -amount);

    public void Credit(long amount)
    {
        Interlocked.Add(ref _posted, amount);
        Interlocked.Add(ref _spendable, amount);
    }
}

/// <summary>A set of transactions, represented by its size and the sum of its ids: enough to compare sets in constant memory.</summary>
internal sealed class History
{
    private readonly Lock _lock = new();

    private UInt128 _sum;

    public long Count { get; private set; }

    public void Add(Guid id)
    {
        Span<byte> bytes = stackalloc byte[16];
        id.TryWriteBytes(bytes);
        var number = System.Buffers.Binary.BinaryPrimitives.ReadUInt128LittleEndian(bytes);
        lock (_lock)
        {
            Count++;
            _sum += number;
        }
    }

    public bool IsSameAs(History other) => Count == other.Count && _sum == other._sum;
}
