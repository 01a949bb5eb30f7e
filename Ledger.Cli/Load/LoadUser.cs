using Ledger.Core.Currencies;

namespace Ledger.Cli.Load;

/// <summary>A user whom this run registered, and what it knows of that user's money: nobody else can move it.</summary>
internal sealed class LoadUser(Guid id, Credentials credentials, IReadOnlyList<Currency> currencies)
{
    private volatile string _bearer = "";

    public Guid Id { get; } = id;

    public Credentials Credentials { get; } = credentials;

    /// <summary>One per currency, in the order of the run's currencies.</summary>
    public IReadOnlyList<Wallet> Wallets { get; } = [.. currencies.Select(currency => new Wallet(currency))];

    /// <summary>Every transaction that the API must list as posted: those of the user, and those that brought it money.</summary>
    public History Posted { get; } = new();

    /// <summary>Every transaction of the user that the API must list as rejected.</summary>
    public History Rejected { get; } = new();

    /// <summary>The value of the Authorization header.</summary>
    public string Bearer
    {
        get => _bearer;
        set => _bearer = value;
    }
}

/// <summary>The books of this run about one user in one currency, in minor units.</summary>
internal sealed class Wallet(Currency currency)
{
    private long _posted;
    private long _spendable;

    public Currency Currency { get; } = currency;

    /// <summary>The sum of what the API said is posted.</summary>
    public long Posted => Volatile.Read(ref _posted);

    /// <summary>
    /// Sets aside what a debit needs. Only credits that were answered count, and every debit that was sent: so the ledger
    /// has at least as much, and a debit that was reserved and is rejected all the same is an error of the ledger.
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

/// <summary>A set of transactions, as their number and the sum of their ids: enough to compare two, at no memory.</summary>
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
