using Ledger.Core.Currencies;
using Ledger.Core.Transactions;
using Npgsql;

namespace Ledger.Tests.Harness;

/// <summary>
/// A currency and users of a test's own, made in the database without passwords. Other tests use other currencies, and so
/// other settlement accounts.
/// </summary>
public sealed record Market(NpgsqlDataSource Database, string Currency, IReadOnlyList<Guid> Users)
{
    public static async Task<Market> OpenAsync(NpgsqlDataSource database, int users, bool enabled = true)
    {
        var currency = $"T{Convert.ToHexString(Guid.NewGuid().ToByteArray().AsSpan(0, 5))}";
        var ids = Enumerable.Range(0, users).Select(_ => Guid.CreateVersion7()).ToArray();
        await Books.ExecuteAsync(database, "insert into ledger.currencies (code, name, exponent, enabled) values ($1, 'Of a test', 2, $2)", currency, enabled);
        await InsertUsersAsync(database, ids);
        return new Market(database, currency, ids);
    }

    public Command Deposit(Guid owner, long amount, string? key = null, byte body = 0) => Command(TransactionKind.Deposit, owner, null, amount, key, body);

    public Command Withdrawal(Guid owner, long amount, string? key = null, byte body = 0) => Command(TransactionKind.Withdrawal, owner, null, amount, key, body);

    /// <param name="recipient">Null: an e-mail address that is not registered.</param>
    public Command Transfer(Guid owner, Guid? recipient, long amount, string? key = null, byte body = 0) =>
        Command(TransactionKind.Transfer, owner, recipient, amount, key, body);

    /// <param name="body">Another one is another request under the same key.</param>
    public Command Command(TransactionKind kind, Guid owner, Guid? recipient, long amount, string? key = null, byte body = 0) => new()
    {
        Id = Guid.CreateVersion7(),
        Kind = kind,
        OwnerId = owner,
        PrincipalId = owner,
        RecipientId = recipient,
        Amount = new Money(amount, Currency),
        IdempotencyKey = key,
        Reference = body == 0 ? null : $"body {body}",
        CreatedAt = new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc),
    };

    /// <summary>A user who administers: it may send journals, exchanges and reversals, set limits and close the books.</summary>
    public async Task<Guid> NewOperatorAsync()
    {
        var id = Guid.CreateVersion7();
        await InsertUsersAsync(Database, [id]);
        await Books.ExecuteAsync(Database, "insert into identity.user_roles (user_id, role_id) select $1, id from identity.roles where name = 'operator'", id);
        return id;
    }

    /// <summary>A service account: with scope transactions it may send journals, exchanges and reversals.</summary>
    public async Task<Guid> NewServiceAsync(params string[] scopes)
    {
        var id = Guid.CreateVersion7();
        await Books.ExecuteAsync(Database, "insert into identity.services (id, name, scopes) values ($1, $1::text, $2)", id, scopes);
        return id;
    }

    private static Task<int> InsertUsersAsync(NpgsqlDataSource database, Guid[] ids) => Books.ExecuteAsync(database, """
        insert into identity.users (id, user_name, normalized_user_name, email, normalized_email, email_confirmed, security_stamp,
            concurrency_stamp, phone_number_confirmed, two_factor_enabled, lockout_enabled, access_failed_count)
        select id, email, upper(email), email, upper(email), false, '', '', false, false, false, 0
        from unnest($1) id cross join lateral (select id || '@example.com' as email) e
        """, ids);

    /// <summary>A house account; returns its name.</summary>
    public async Task<string> NewHouseAccountAsync(string name = "fees", long creditLimit = 0)
    {
        await Books.ExecuteAsync(
            Database, "insert into ledger.accounts (id, kind, name, currency, credit_limit) values (gen_random_uuid(), 'house', $1, $2, $3)", name, Currency, creditLimit);
        return name;
    }

    /// <summary>An account of a user's beside its main one; returns its id.</summary>
    public async Task<Guid> NewAccountAsync(Guid owner, string name)
    {
        var id = Guid.CreateVersion7();
        await Books.ExecuteAsync(Database, "insert into ledger.accounts (id, kind, owner_id, name, currency) values ($1, 'user', $2, $3, $4)", id, owner, name, Currency);
        return id;
    }

    /// <summary>A posting in this currency.</summary>
    public JournalPosting Posting(PostingEnd from, PostingEnd to, long amount) => new(from, to, new Money(amount, Currency));

    public Command Journal(Guid sender, params JournalPosting[] postings)
    {
        var first = postings[0].Amount.Currency;
        var amount = postings.Where(posting => posting.Amount.Currency == first).Sum(posting => posting.Amount.MinorUnits);
        return OfOperator(TransactionKind.Journal, sender, new Money(amount, first), new CommandTerms { Postings = postings });
    }

    public Command Exchange(Guid sender, Guid owner, long sell, Money buy) =>
        OfOperator(TransactionKind.Exchange, sender, new Money(sell, Currency), new CommandTerms { Buy = buy, Rate = "1" }) with { OwnerId = owner };

    public Command Reversal(Guid sender, Command original) =>
        OfOperator(TransactionKind.Reversal, sender, original.Amount, new CommandTerms { Reverses = original.Id });

    private Command OfOperator(TransactionKind kind, Guid sender, Money amount, CommandTerms terms) =>
        Command(kind, sender, null, 1) with { OwnerId = null, Amount = amount, Terms = terms };

    /// <summary>What an account has, in minor units.</summary>
    public Task<long> AccountBalanceAsync(Guid account) => Books.NumberAsync(Database, "select posted from ledger.accounts where id = $1", account);

    /// <summary>What a house account has, in minor units.</summary>
    public Task<long> HouseBalanceAsync(string name) =>
        Books.NumberAsync(Database, "select posted from ledger.accounts where name = $1 and currency = $2 and kind = 'house'", name, Currency);

    /// <summary>What a user has, in minor units; zero without an account.</summary>
    public Task<long> BalanceAsync(Guid user) => Books.NumberAsync(
        Database, "select coalesce(sum(posted), 0)::bigint from ledger.accounts where owner_id = $1 and currency = $2", user, Currency);

    /// <summary>What all shards of the settlement account have together: the negative of what all users have.</summary>
    public Task<long> SettlementAsync() => Books.NumberAsync(
        Database, "select sum(posted)::bigint from ledger.accounts where kind = 'settlement' and currency = $1", Currency);

    /// <summary>How many transactions of this currency there are with a status.</summary>
    public Task<long> CountAsync(string status) => Books.NumberAsync(
        Database, "select count(*) from ledger.transactions where currency = $1 and status = $2", Currency, status);
}
