using Ledger.Core.Currencies;

namespace Ledger.Cli.Load;

/// <summary>A sender of requests.</summary>
internal sealed class Caller(Credentials? credentials, string bearer = "")
{
    private volatile string _bearer = bearer;

    /// <summary>Null for a service account, whose key does not change during the run.</summary>
    public Credentials? Credentials { get; } = credentials;

    /// <summary>The value of the Authorization header.</summary>
    public string Bearer
    {
        get => _bearer;
        set => _bearer = value;
    }
}

/// <summary>A user that the run registered, with the user's books. Only the run moves the user's money.</summary>
internal sealed class LoadUser
{
    public LoadUser(Guid id, Credentials credentials, IReadOnlyList<Currency> currencies)
    {
        Id = id;
        Caller = new Caller(credentials);
        Wallets = [.. currencies.Select(currency => new Wallet(currency, this, Wallet.Main))];
    }

    public Guid Id { get; }

    public Caller Caller { get; }

    public string Email => Caller.Credentials!.Email;

    /// <summary>The main account of each currency, in the order of the run's currencies.</summary>
    public IReadOnlyList<Wallet> Wallets { get; }

    /// <summary>An account with a credit limit, on which one command is under way at a time; null without an operator.</summary>
    public Wallet? CreditLine { get; set; }

    /// <summary>The books of all accounts of the user.</summary>
    public IEnumerable<Wallet> Accounts => CreditLine is null ? Wallets : Wallets.Append(CreditLine);

    /// <summary>Whether the outcome of a command is unknown, so that the books cannot be compared.</summary>
    public bool IsInDoubt => Accounts.Any(account => account.IsInDoubt);

    /// <summary>The transactions that the API must list for the user.</summary>
    public History History { get; } = new();
}

/// <summary>The books of the house in one currency.</summary>
/// <param name="Exchange">The position of the exchange since the start of the run.</param>
/// <param name="Fees">Null without an operator.</param>
/// <param name="Tax">Null without an operator.</param>
internal sealed record House(Wallet Exchange, Wallet? Fees, Wallet? Tax)
{
    public IEnumerable<Wallet> Accounts => new[] { Fees, Tax }.OfType<Wallet>();
}

/// <summary>Decided transactions.</summary>
internal sealed class History
{
    public TransactionSet Posted { get; } = new();

    public TransactionSet Rejected { get; } = new();

    public void Add(Guid id, bool posted) => (posted ? Posted : Rejected).Add(id);
}

/// <summary>A set of transactions, represented by its size and the sum of its ids: enough to compare sets in constant memory.</summary>
internal sealed class TransactionSet
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

    public bool IsSameAs(TransactionSet other) => Count == other.Count && _sum == other._sum;
}
