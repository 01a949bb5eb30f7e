using Ledger.Core.Transactions;
using Npgsql;

namespace Ledger.Core.Posting;

/// <summary>
/// What a batch needs to know before it can be judged, read under lock: the accounts that it touches, what is already
/// decided, which idempotency keys are taken, and the time.
/// </summary>
internal sealed class Book
{
    /// <summary>The place of an account that is not there, or whose owner is unknown or closed.</summary>
    public const int NoAccount = -1;

    private readonly Dictionary<(Guid Owner, string Currency), int> _accountOf;
    private readonly Dictionary<string, CurrencyState> _currencies = new(8);
    private readonly Dictionary<(Guid Principal, string Key), KeyUse> _keys = [];
    private readonly Dictionary<Guid, Transaction> _outcomes = [];
    private readonly HashSet<Guid> _failed = [];
    private readonly References? _references;
    // Empty without references.
    private readonly Dictionary<Guid, int> _accountById = [];
    private readonly Dictionary<string, int> _exchange = [];
    private readonly HashSet<Guid> _reversed = [];
    private Dictionary<Guid, bool> _newOwners = [];
    private bool _hasAllShards;
    private HashSet<Guid>? _movers;
    private int _missingOwners;
    private int _count;

    private Book(int capacity, References? references)
    {
        _accountOf = new(capacity);
        _references = references;
        Accounts = new AccountState[capacity];
    }

    /// <summary>The accounts of the batch, each at the place that <see cref="AccountOf"/> gives.</summary>
    public AccountState[] Accounts { get; }

    public ReadOnlySpan<AccountState> Touchable => Accounts.AsSpan(0, _count);

    /// <summary>The database's clock, read after the accounts were locked.</summary>
    public DateTime Now { get; private set; }

    /// <summary>Whether a movement found its settlement shard full, and there are shards that this book has not read.</summary>
    public bool NeedsMoreShards { get; private set; }

    public CurrencyState? Currency(string code) => _currencies.TryGetValue(code, out var state) ? state : null;

    /// <summary>Whether a command failed before, and waits for an operator to say what becomes of it.</summary>
    public bool AwaitsOperator(Guid id) => _failed.Contains(id);

    public Transaction? Outcome(Guid id) => _outcomes.GetValueOrDefault(id);

    public KeyUse? KeyOf(Guid principal, string key) => _keys.TryGetValue((principal, key), out var use) ? use : null;

    /// <summary>Whether the command's principal may send it: it moves its own money, or may move other users' by a role or scope.</summary>
    public bool MayMove(Command command) => !IsForMovers(command) || (_movers?.Contains(command.PrincipalId) ?? false);

    // Commands of another caller than the owner, and commands that users do not send for themselves.
    private static bool IsForMovers(Command command) =>
        command.PrincipalId != command.OwnerId || command.Terms?.EffectiveAt is not null
        || command.Kind is TransactionKind.Journal or TransactionKind.Exchange or TransactionKind.Reversal;

    /// <summary>Makes a decision known to the commands behind it in the same batch.</summary>
    public void Remember(Command command, Transaction outcome)
    {
        _outcomes[command.Id] = outcome;
        if (outcome is { Status: TransactionStatus.Posted, Reverses: { } reversed })
            _reversed.Add(reversed);
        if (command.IdempotencyKey is { } key)
            _keys.TryAdd((command.PrincipalId, key), new KeyUse(RequestHash.Of(command), command.Id, IsStored: false));
    }

    /// <summary>Whether the key is in the database already: the API reserves it where it records a command as pending.</summary>
    public bool IsStored(Guid principal, string key) => _keys[(principal, key)].IsStored;

    /// <summary>
    /// Lets the currency of a movement that does not fit into its settlement shard use the next one. False if no shard is full, if the
    /// movement has met every shard, or if the book has read one shard only.
    /// </summary>
    public bool TryAnotherShard(ReadOnlySpan<Movement> movements)
    {
        foreach (ref readonly var movement in movements)
        {
            if (!IsFull(Accounts[movement.From], -movement.Amount) && !IsFull(Accounts[movement.To], movement.Amount))
                continue;
            // An exchange shard has no other one.
            var full = _currencies[Accounts[movement.From].Currency].Settlement;
            if (movement.From != full && movement.To != full)
                return false;
            if (!_hasAllShards)
            {
                NeedsMoreShards = true;
                return false;
            }
            var state = _currencies[Accounts[movement.From].Currency];
            for (var i = 0; i < state.Shards!.Count; i++)
            {
                var shard = state.Shards[i];
                if (IsFull(Accounts[shard], Accounts[movement.From].IsUnlimited ? -movement.Amount : movement.Amount))
                    continue;
                _currencies[Accounts[movement.From].Currency] = state with { Settlement = shard };
                return true;
            }
        }
        return false;

        static bool IsFull(in AccountState account, long amount) =>
            account.IsUnlimited && (amount < 0 ? account.Posted < -Judge.BalanceLimit - amount : account.Posted > Judge.BalanceLimit - amount);
    }

    /// <summary>The time until which the books are closed: no entry takes effect before it.</summary>
    public DateTime ClosedUntil => _references?.ClosedUntil ?? DateTime.MinValue;

    /// <summary>The transaction that a reversal names; null if there is none.</summary>
    public Transaction? Original(Guid id) => _references?.Original(id);

    /// <summary>Whether a transaction was reversed, by this batch or before.</summary>
    public bool IsReversed(Guid id) => _reversed.Contains(id);

    /// <summary>The place of an account that a command names by its id, or <see cref="NoAccount"/>.</summary>
    public int AccountById(Guid id) => _accountById.GetValueOrDefault(id, NoAccount);

    /// <summary>The place of a house account, or <see cref="NoAccount"/>.</summary>
    public int HouseAccount(string name, string currency) => _references?.House(name, currency) is { } id ? AccountById(id) : NoAccount;

    /// <summary>The place of a currency's exchange account: the shard that this batch uses.</summary>
    public int Exchange(string currency) => _exchange[currency];

    /// <summary>The account's place, also if it is yet to be opened, or <see cref="NoAccount"/>.</summary>
    public int AccountOf(Guid owner, string currency)
    {
        if (_accountOf.TryGetValue((owner, currency), out var index))
            return index;
        if (!_newOwners.TryGetValue(owner, out var isFrozen))
            return NoAccount;
        index = Add(new AccountState { Id = Guid.CreateVersion7(), OwnerId = owner, Currency = currency, IsNew = true, Status = isFrozen ? AccountStatus.Frozen : AccountStatus.Open });
        _accountOf[(owner, currency)] = index;
        return index;
    }

    /// <param name="shard">The settlement shard of every currency; null reads all of them.</param>
    /// <param name="recipients">Ids of recipients that are not users: of accounts, or of nothing.</param>
    public static async Task<Book> LockAsync(
        NpgsqlConnection connection, IReadOnlyList<Command> commands, int? shard, IReadOnlyCollection<Guid> recipients, CancellationToken cancellationToken)
    {
        var wanted = new HashSet<(Guid Owner, string Currency)>(commands.Count * 2);
        var currencies = new HashSet<string>();
        var principals = new List<Guid>();
        var keys = new List<string>();
        var ids = new Guid[commands.Count];
        HashSet<Guid>? senders = null;
        var references = recipients.Count > 0 ? new References() : null;
        for (var i = 0; i < commands.Count; i++)
        {
            var command = commands[i];
            ids[i] = command.Id;
            currencies.Add(command.Currency);
            if (command.OwnerId is { } owner)
                wanted.Add((owner, command.Currency));
            if (command.RecipientId is { } recipient)
                wanted.Add((recipient, command.Currency));
            if (IsForMovers(command))
                (senders ??= []).Add(command.PrincipalId);
            if (command.Terms is { } terms)
                (references ??= new()).Add(command, terms, wanted, currencies);
            if (command.IdempotencyKey is { } key)
            {
                principals.Add(command.PrincipalId);
                keys.Add(key);
            }
        }

        if (references is not null)
        {
            await references.ReadAsync(connection, currencies, cancellationToken);
            references.Accounts.UnionWith(recipients);
        }

        var order = wanted.ToArray();
        var settlements = currencies.Count * (shard is null ? PostingEngine.SettlementShards : 1);
        var others = references?.Accounts.Count + references?.Exchanged.Count ?? 0;
        var book = new Book(order.Length + settlements + others, references) { _hasAllShards = shard is null };
        await book.ReadAsync(connection, order, currencies, ids, principals, keys, senders, shard, cancellationToken);
        await book.ReadOwnersOfMissingAccountsAsync(connection, order, cancellationToken);
        return book;
    }

    private async Task ReadAsync(
        NpgsqlConnection connection, (Guid Owner, string Currency)[] wanted, HashSet<string> currencies, Guid[] ids,
        List<Guid> principals, List<string> keys, HashSet<Guid>? senders, int? shard, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                // Locked, so that no relay publishes what is being decided.
                new NpgsqlBatchCommand("select id, failure is not null from ledger.pending_commands where id = any ($1) order by id for no key update")
                {
                    Parameters = { new NpgsqlParameter<Guid[]> { TypedValue = ids } },
                },
                // In one order. Each statement takes its own snapshot (read committed), so that those behind this one see what the
                // transactions that held the locks before have committed.
                new NpgsqlBatchCommand("select * from ledger.lock_accounts($1, $2, $3)")
                {
                    Parameters =
                    {
                        new NpgsqlParameter<Guid[]> { TypedValue = Array.ConvertAll(wanted, w => w.Owner) },
                        new NpgsqlParameter<string[]> { TypedValue = Array.ConvertAll(wanted, w => w.Currency) },
                        new NpgsqlParameter<Guid[]> { TypedValue = _references is null ? [] : [.. _references.Accounts] },
                    },
                },
                // Settlement rows are read without a lock: what is added to them does not depend on what they hold. The time comes
                // with them, one row even if there is no such currency; it is read after the locks.
                ReadSettlement([.. currencies], shard),
                new NpgsqlBatchCommand("select id from ledger.transactions where id = any ($1)")
                {
                    Parameters = { new NpgsqlParameter<Guid[]> { TypedValue = ids } },
                },
            },
        };
        if (keys.Count > 0)
        {
            batch.BatchCommands.Add(new NpgsqlBatchCommand("""
                select k.principal_id, k.key, k.request_hash, k.transaction_id
                from unnest($1, $2) w(principal_id, key)
                join ledger.idempotency_keys k on k.principal_id = w.principal_id and k.key = w.key
                """)
            {
                Parameters =
                {
                    new NpgsqlParameter<List<Guid>> { TypedValue = principals },
                    new NpgsqlParameter<List<string>> { TypedValue = keys },
                },
            });
        }
        if (senders is not null)
        {
            batch.BatchCommands.Add(new NpgsqlBatchCommand("select * from identity.movers($1)")
            {
                Parameters = { new NpgsqlParameter<Guid[]> { TypedValue = [.. senders] } },
            });
        }

        if (_references is { } references)
            AddReferences(batch, references, shard ?? 0);

        var decided = new HashSet<Guid>();
        await using (var reader = await batch.ExecuteReaderAsync(cancellationToken))
        {
            while (await reader.ReadAsync(cancellationToken))
            {
                if (reader.GetBoolean(1))
                    _failed.Add(reader.GetGuid(0));
            }

            await reader.NextResultAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
            {
                var account = new AccountState
                {
                    Id = reader.GetGuid(0),
                    OwnerId = reader.IsDBNull(1) ? null : reader.GetGuid(1),
                    Currency = reader.GetString(2),
                    Posted = reader.GetInt64(3),
                    Held = reader.GetInt64(4),
                    CreditLimit = reader.GetInt64(5),
                    Status = StatusOf(reader.GetString(6)),
                    LastPostedAt = reader.GetDateTime(7),
                };
                var place = Add(account);
                if (reader.GetBoolean(8))
                    _accountOf[(account.OwnerId!.Value, account.Currency)] = place;
                if (_references is not null)
                    _accountById[account.Id] = place;
            }

            await reader.NextResultAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
            {
                Now = reader.GetDateTime(0);
                if (reader.IsDBNull(1))
                    continue;
                var settlement = Add(new AccountState
                {
                    Currency = reader.GetString(1),
                    Id = reader.GetGuid(3),
                    Posted = reader.GetInt64(4),
                    IsUnlimited = true,
                });
                if (_currencies.TryGetValue(Accounts[settlement].Currency, out var known))
                    known.Shards!.Add(settlement);
                else
                    _currencies[Accounts[settlement].Currency] = new CurrencyState(reader.GetBoolean(2), settlement, _hasAllShards ? [settlement] : null);
            }

            await reader.NextResultAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
                decided.Add(reader.GetGuid(0));

            if (keys.Count > 0)
            {
                await reader.NextResultAsync(cancellationToken);
                while (await reader.ReadAsync(cancellationToken))
                {
                    var use = new KeyUse(reader.GetFieldValue<byte[]>(2), reader.GetGuid(3), IsStored: true);
                    _keys[(reader.GetGuid(0), reader.GetString(1))] = use;
                    decided.Add(use.TransactionId);
                }
            }

            if (senders is not null)
            {
                _movers = [];
                await reader.NextResultAsync(cancellationToken);
                while (await reader.ReadAsync(cancellationToken))
                    _movers.Add(reader.GetGuid(0));
            }
            if (_references is not null)
                await ReadReferencesAsync(reader, cancellationToken);
        }

        if (decided.Count > 0)
        {
            foreach (var outcome in await TransactionReader.LoadAsync(connection, [.. decided], cancellationToken))
                _outcomes[outcome.Id] = outcome;
        }
    }

    private static NpgsqlBatchCommand ReadSettlement(string[] currencies, int? shard)
    {
        const string Sql = """
            select clock_timestamp(), c.code, c.enabled, a.id, a.posted
            from unnest($1) w(code)
            left join ledger.currencies c on c.code = w.code
            left join ledger.accounts a on a.currency = c.code and a.kind = 'settlement'
            """;
        var read = new NpgsqlBatchCommand(shard is null ? Sql : Sql + "\n    and a.shard = $2") { Parameters = { new NpgsqlParameter<string[]> { TypedValue = currencies } } };
        if (shard is { } one)
            read.Parameters.Add(new NpgsqlParameter<short> { TypedValue = (short)one });
        return read;
    }

    // This reads after the accounts are locked: of two reversals of one transaction, the second one waits for the locks, and sees the
    // first one here.
    private static void AddReferences(NpgsqlBatch batch, References references, int shard)
    {
        batch.BatchCommands.Add(new NpgsqlBatchCommand("select currency, id, posted from ledger.accounts where currency = any ($1) and shard = $2 and kind = 'exchange'")
        {
            Parameters =
            {
                new NpgsqlParameter<string[]> { TypedValue = [.. references.Exchanged] },
                new NpgsqlParameter<short> { TypedValue = (short)shard },
            },
        });
        batch.BatchCommands.Add(new NpgsqlBatchCommand("select reverses from ledger.transactions where reverses = any ($1) and status = 'posted'")
        {
            Parameters = { new NpgsqlParameter<Guid[]> { TypedValue = [.. references.Reversed] } },
        });
    }

    private async Task ReadReferencesAsync(NpgsqlDataReader reader, CancellationToken cancellationToken)
    {
        await reader.NextResultAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            var exchange = new AccountState { Currency = reader.GetString(0), Id = reader.GetGuid(1), Posted = reader.GetInt64(2), IsUnlimited = true };
            _exchange[exchange.Currency] = Add(exchange);
        }
        await reader.NextResultAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            _reversed.Add(reader.GetGuid(0));
    }

    /// <summary>The ids of recipients of transfers that are not users: of accounts, or of nothing.</summary>
    public HashSet<Guid> RecipientsBesideUsers(IReadOnlyList<Command> commands)
    {
        var others = new HashSet<Guid>();
        // The owner of each missing main account was found, so that each recipient is a user.
        if (_newOwners.Count == _missingOwners)
            return others;
        foreach (var command in commands)
        {
            if (command.RecipientId is { } recipient && !_accountOf.ContainsKey((recipient, command.Currency)) && !_newOwners.ContainsKey(recipient))
                others.Add(recipient);
        }
        return others;
    }

    private async Task ReadOwnersOfMissingAccountsAsync(
        NpgsqlConnection connection, (Guid Owner, string Currency)[] wanted, CancellationToken cancellationToken)
    {
        // Accounts that are locked by their ids may be main accounts that are not among the wanted ones.
        if (_references is null ? _accountOf.Count == wanted.Length : Array.TrueForAll(wanted, _accountOf.ContainsKey))
            return;

        var owners = wanted.Where(w => !_accountOf.ContainsKey(w)).Select(w => w.Owner).Distinct().ToArray();
        // Locked before the look: no owner is frozen between it and the insert.
        await using var command = new NpgsqlCommand("select id, is_frozen from identity.lock_owners($1)", connection)
        {
            Parameters = { new NpgsqlParameter<Guid[]> { TypedValue = owners } },
        };
        _missingOwners = owners.Length;
        _newOwners = new(owners.Length);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            _newOwners.Add(reader.GetGuid(0), reader.GetBoolean(1));
    }

    private static AccountStatus StatusOf(string name) => name switch
    {
        "open" => AccountStatus.Open,
        "frozen" => AccountStatus.Frozen,
        _ => AccountStatus.Closed,
    };

    private int Add(in AccountState account)
    {
        Accounts[_count] = account;
        return _count++;
    }
}

/// <summary>A currency as a batch sees it.</summary>
/// <param name="Settlement">The place of its settlement account, the shard that the next command uses, among the book's accounts.</param>
/// <param name="Shards">The places of all shards; null if the book has read one.</param>
internal readonly record struct CurrencyState(bool Enabled, int Settlement, List<int>? Shards);

/// <summary>What an idempotency key stands for.</summary>
internal readonly record struct KeyUse(byte[] RequestHash, Guid TransactionId, bool IsStored);
