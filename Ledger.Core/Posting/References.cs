using Ledger.Core.Transactions;
using Npgsql;

namespace Ledger.Core.Posting;

/// <summary>
/// What commands of a batch need beside the main accounts of their users: house accounts, accounts by their ids, transactions to reverse,
/// and the time until which the books are closed. It is read before the accounts are locked, because it says which accounts to lock. A
/// batch of plain commands has no references.
/// </summary>
internal sealed class References
{
    private readonly HashSet<(string Name, string Currency)> _houseNames = [];
    private readonly HashSet<Guid> _reversed = [];
    private readonly Dictionary<(string Name, string Currency), Guid> _houses = [];
    private readonly Dictionary<Guid, Transaction> _originals = [];
    private bool _hasEffect;

    /// <summary>The accounts to lock beside the main ones.</summary>
    public HashSet<Guid> Accounts { get; } = [];

    /// <summary>The currencies whose exchange shards are needed.</summary>
    public HashSet<string> Exchanged { get; } = [];

    /// <summary>The transactions that are to be reversed.</summary>
    public IReadOnlyCollection<Guid> Reversed => _reversed;

    /// <summary>The time until which the books are closed. A lock keeps it where it is until the batch ends.</summary>
    public DateTime ClosedUntil { get; private set; } = DateTime.MinValue;

    /// <summary>The id of a house account; null if there is none of this name and currency.</summary>
    public Guid? House(string name, string currency) => _houses.TryGetValue((name, currency), out var id) ? id : null;

    /// <summary>The transaction that a reversal names; null if there is none.</summary>
    public Transaction? Original(Guid id) => _originals.GetValueOrDefault(id);

    /// <summary>Adds the references of a command.</summary>
    /// <param name="main">Receives the main accounts that the command needs.</param>
    /// <param name="currencies">Receives the currencies that the command moves.</param>
    public void Add(Command command, CommandTerms terms, HashSet<(Guid Owner, string Currency)> main, HashSet<string> currencies)
    {
        _hasEffect |= terms.EffectiveAt is not null;
        if (terms.AccountId is { } account)
            Accounts.Add(account);
        if (terms.Reverses is { } original)
            _reversed.Add(original);
        if (terms.Buy is { } buy)
        {
            currencies.Add(buy.Currency);
            Exchanged.Add(buy.Currency);
            Exchanged.Add(command.Currency);
            if (command.OwnerId is { } owner)
                main.Add((owner, buy.Currency));
        }
        foreach (var posting in terms.Postings ?? [])
        {
            currencies.Add(posting.Amount.Currency);
            Add(posting.From, posting.Amount.Currency, main);
            Add(posting.To, posting.Amount.Currency, main);
        }
    }

    /// <summary>Reads the added references from the database.</summary>
    /// <param name="currencies">Receives the currencies that reversals move.</param>
    public async Task ReadAsync(NpgsqlConnection connection, HashSet<string> currencies, CancellationToken cancellationToken)
    {
        if (_houseNames.Count > 0 || _hasEffect)
            await ReadNamesAsync(connection, cancellationToken);
        if (_reversed.Count == 0)
            return;

        // Entries never change, so that no lock is needed to read which accounts they stand on.
        foreach (var original in await TransactionReader.LoadAsync(connection, [.. _reversed], cancellationToken))
        {
            _originals[original.Id] = original;
            foreach (var entry in original.Entries)
            {
                currencies.Add(entry.Amount.Currency);
                if (!IsOnShard(entry))
                    Accounts.Add(entry.AccountId);
                else if (IsExchange(original))
                    Exchanged.Add(entry.Amount.Currency);
            }
        }
    }

    /// <summary>Whether an entry stands on a shard. A reversal uses the shard of its own batch instead.</summary>
    public static bool IsOnShard(in Entry entry) => entry.BalanceAfter is null;

    /// <summary>Whether a transaction's shards belong to the exchange; otherwise they belong to settlement.</summary>
    public static bool IsExchange(Transaction transaction) => transaction.Kind == TransactionKind.Exchange.Name();

    private void Add(PostingEnd end, string currency, HashSet<(Guid Owner, string Currency)> main)
    {
        if (end.UserId is { } user)
            main.Add((user, currency));
        else if (end.AccountId is { } account)
            Accounts.Add(account);
        else if (end.House is { } name)
            _houseNames.Add((name, currency));
    }

    private async Task ReadNamesAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var names = _houseNames.ToArray();
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                // Names of house accounts never change.
                new NpgsqlBatchCommand("""
                    select a.id, a.name, a.currency from unnest($1, $2) w(name, currency)
                    join ledger.accounts a on a.name = w.name and a.currency = w.currency and a.kind = 'house'
                    """)
                {
                    Parameters =
                    {
                        new NpgsqlParameter<string[]> { TypedValue = Array.ConvertAll(names, n => n.Name) },
                        new NpgsqlParameter<string[]> { TypedValue = Array.ConvertAll(names, n => n.Currency) },
                    },
                },
            },
        };
        if (_hasEffect)
            batch.BatchCommands.Add(new NpgsqlBatchCommand("select ledger.lock_closing()"));

        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            var id = reader.GetGuid(0);
            _houses[(reader.GetString(1), reader.GetString(2))] = id;
            Accounts.Add(id);
        }
        if (_hasEffect)
        {
            await reader.NextResultAsync(cancellationToken);
            await reader.ReadAsync(cancellationToken);
            ClosedUntil = reader.GetDateTime(0);
        }
    }
}
