using Ledger.Core.Currencies;

namespace Ledger.Cli.Load;

/// <summary>The run's books of one account, in minor units. Thread-safe.</summary>
/// <param name="owner">Null for accounts of the house and of the exchange.</param>
/// <param name="name">The name of the account; null for the accounts of the exchange in a currency.</param>
internal sealed class Wallet(Currency currency, LoadUser? owner, string? name)
{
    /// <summary>The name of the accounts that the API opens on first use.</summary>
    public const string Main = "main";

    private long _posted;
    private long _spendable;
    private int _occupied;
    private volatile bool _inDoubt;

    public Currency Currency { get; } = currency;

    public LoadUser? Owner { get; } = owner;

    public string? Name { get; } = name;

    /// <summary>The id of an account that was opened by name; null for main accounts.</summary>
    public Guid? AccountId { get; init; }

    /// <summary>How far below zero the account may go.</summary>
    public long CreditLimit { get; private set; }

    /// <summary>The balance according to the answers.</summary>
    public long Posted => Volatile.Read(ref _posted);

    /// <summary>What can be reserved.</summary>
    public long Spendable => Volatile.Read(ref _spendable);

    /// <summary>Whether the outcome of a command is unknown, so that the balance cannot be compared.</summary>
    public bool IsInDoubt => _inDoubt;

    /// <summary>What a posting calls the account.</summary>
    public string End => Owner is null ? $"house:{Name}" : AccountId is { } id ? $"account:{id}" : $"user:{Owner.Id}";

    /// <summary>Whether an entry on the account is in the answer to a viewer.</summary>
    /// <param name="viewer">Null for the sender of a command without an owner.</param>
    public bool IsSeenBy(LoadUser? viewer) => Name is not null && (viewer is null || viewer == Owner);

    /// <summary>
    /// Reserves the amount of a debit; false if it is not covered. Credits count once they are answered, debits once they are sent,
    /// so the ledger has at least the reserved amount: if it rejects the debit, the ledger is wrong.
    /// </summary>
    public bool TryReserve(long amount)
    {
        if (Name is null)
            return true;
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

    /// <summary>Records that the account may go down to minus <paramref name="limit"/>.</summary>
    public void SetCreditLimit(long limit)
    {
        Release(limit - CreditLimit);
        CreditLimit = limit;
    }

    /// <summary>Occupies the wallet until the next command on it is decided; false if another command has it. Meanwhile <see cref="Spendable"/> is exact.</summary>
    public bool TryOccupy() => Interlocked.Exchange(ref _occupied, 1) == 0;

    public void Vacate() => Volatile.Write(ref _occupied, 0);

    public void Doubt() => _inDoubt = true;
}
