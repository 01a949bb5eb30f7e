using Ledger.Core.Posting;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Posting;

/// <summary>What the database itself refuses, whoever writes: the last line of defence behind the engine.</summary>
public sealed class DatabaseInvariantTests(LedgerSystem system)
{
    private const string NewEntry = "insert into ledger.entries (account_id, posted_at, transaction_id, currency, amount, balance_after) values ";

    [Theory]
    [InlineData("update ledger.accounts set credit_limit = -1 where id = $1", "accounts_credit_limit")]
    [InlineData("update ledger.accounts set status = 'closed' where id = $1", "accounts_closed_is_empty")]
    [InlineData("update ledger.accounts set name = null where id = $1", "accounts_kind_shape")]
    [InlineData("update ledger.accounts set shard = 1 where id = $1", "accounts_kind_shape")]
    [InlineData("update ledger.accounts set owner_id = null where id = $1", "accounts_kind_shape")]
    [InlineData("update ledger.accounts set kind = 'settlement' where id = $1", "accounts_kind_shape")]
    [InlineData("update ledger.accounts set kind = 'other' where id = $1", null)]
    [InlineData("update ledger.accounts set status = 'shut' where id = $1", null)]
    public async Task Account_of_a_user_keeps_its_shape_and_stays_within_its_limit(string sql, string? constraint)
    {
        var (market, account) = await AccountAsync();
        await RefusedAsync(market, constraint, sql, account);
    }

    [Fact]
    public async Task Entries_cannot_take_an_account_below_its_limit()
    {
        var (market, account) = await AccountAsync();
        await RefusedAsync(market, "accounts_within_limit", BothSides("$1, $2, -1001, -1"), account, market.Currency);
    }

    [Fact]
    public async Task House_account_cannot_go_below_its_limit()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 1);
        await market.NewHouseAccountAsync("escrow", creditLimit: 50);
        var account = Guid.Parse((await Books.TextsAsync(market.Database, "select id::text from ledger.accounts where kind = 'house' and currency = $1", market.Currency)).Single());

        await RefusedAsync(market, "accounts_within_limit", BothSides("$1, $2, -51, -51"), account, market.Currency);
        await using var connection = await market.Database.OpenConnectionAsync();
        var journal = market.Journal(await market.NewOperatorAsync(), market.Posting(new(House: "escrow"), new(UserId: market.Users[0]), 50));
        Assert.Equal(Core.Transactions.TransactionStatus.Posted, Assert.Single(await new PostingEngine().PostAsync(connection, [journal], CancellationToken.None)).Outcome!.Status);
        await RefusedAsync(market, "accounts_within_limit", "update ledger.accounts set credit_limit = 49 where id = $1", account);
        await RefusedAsync(market, "accounts_kind_shape", "update ledger.accounts set kind = 'exchange' where id = $1", account);
        await RefusedAsync(market, "accounts_kind_shape", "update ledger.accounts set owner_id = $2 where id = $1", account, market.Users[0]);
    }

    [Theory]
    [InlineData("update ledger.accounts set posted = posted + 1 where id = $1")]
    [InlineData("update ledger.accounts set held = 1 where id = $1")]
    [InlineData("update ledger.accounts set last_posted_at = now() where id = $1")]
    [InlineData("insert into ledger.accounts (id, kind, owner_id, name, currency, posted) select gen_random_uuid(), 'user', owner_id, 'main', 'USD', 1 from ledger.accounts where id = $1")]
    [InlineData("insert into ledger.accounts (id, kind, owner_id, name, currency, held) select gen_random_uuid(), 'user', owner_id, 'main', 'USD', 1 from ledger.accounts where id = $1")]
    public async Task Only_entries_move_a_balance_and_only_hold_changes_move_a_held_amount(string sql)
    {
        var (market, account) = await AccountAsync();
        Assert.Equal(PostgresErrorCodes.RestrictViolation, (await RefusedAsync(market, null, sql, account)).SqlState);
    }

    [Fact]
    public async Task Entries_move_the_balances_of_both_sides()
    {
        var (market, account) = await AccountAsync();
        await using var connection = await market.Database.OpenConnectionAsync();
        // Rolled back: no deposit has such entries.
        await using var transaction = await connection.BeginTransactionAsync();
        await using var write = new NpgsqlCommand(BothSides("$1, $2, 5, 1005"), connection)
        {
            Parameters = { new() { Value = account }, new() { Value = market.Currency } },
        };
        await write.ExecuteNonQueryAsync();

        await using var read = new NpgsqlCommand("select (sum(posted) filter (where id = $1))::bigint, sum(posted)::bigint from ledger.accounts where currency = $2", connection)
        {
            Parameters = { new() { Value = account }, new() { Value = market.Currency } },
        };
        await using var balances = await read.ExecuteReaderAsync();
        Assert.True(await balances.ReadAsync());
        Assert.Equal((1005, 0), (balances.GetInt64(0), balances.GetInt64(1)));
    }

    [Fact]
    public async Task User_has_one_account_per_name_and_currency()
    {
        var (market, _) = await AccountAsync();
        await RefusedAsync(market, "accounts_of_owner",
            "insert into ledger.accounts (id, kind, owner_id, name, currency) values (gen_random_uuid(), 'user', $1, 'main', $2)", market.Users[0], market.Currency);
    }

    [Fact]
    public async Task Account_needs_an_existing_owner_and_currency()
    {
        var (market, _) = await AccountAsync();
        await RefusedAsync(market, "accounts_owner_id_fkey",
            "insert into ledger.accounts (id, kind, owner_id, name, currency) values (gen_random_uuid(), 'user', gen_random_uuid(), 'main', $1)", market.Currency);
        await RefusedAsync(market, "accounts_currency_fkey",
            "insert into ledger.accounts (id, kind, owner_id, name, currency) values (gen_random_uuid(), 'user', $1, 'main', 'NOSUCH')", market.Users[0]);
    }

    [Fact]
    public async Task Transaction_has_a_known_kind()
    {
        var (market, _) = await AccountAsync();
        await RefusedAsync(market, "transactions_kind", (NewTransaction("'{}'") + "select id from t").Replace("'deposit'", "'nonsense'", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Entries_of_a_transaction_sum_to_zero()
    {
        var (market, account) = await AccountAsync();
        await RefusedAsync(market, "entries_sum_to_zero", NewTransaction("array[$1::uuid]") + NewEntry + "($1, now(), (select id from t), $2, 5, 1000)", account, market.Currency);
    }

    [Fact]
    public async Task Entries_sum_to_zero_in_each_currency()
    {
        var (market, account) = await AccountAsync();
        var (other, foreign) = await AccountAsync();
        await RefusedAsync(market, "entries_sum_to_zero",
            NewTransaction("array[$1::uuid, $3::uuid]") + NewEntry.Replace("values", "", StringComparison.Ordinal)
            + "select $1, now(), id, $2, 5, 1000 from t union all select $3, now(), id, $4, -5, 1000 from t",
            account, market.Currency, foreign, other.Currency);
    }

    [Fact]
    public async Task Last_entry_of_an_account_has_the_balance_of_the_account()
    {
        var (market, account) = await AccountAsync();
        // The account had 1000, and has 1005 now.
        await RefusedAsync(market, "entries_agree_with_account", BothSides("$1, $2, 5, 1000"), account, market.Currency);
        await RefusedAsync(market, "entries_agree_with_account", BothSides("$1, $2, 5, null::bigint"), account, market.Currency);
    }

    [Fact]
    public async Task Wrong_last_entry_is_found_after_a_right_one()
    {
        var (market, account) = await AccountAsync();
        await RefusedAsync(market, "entries_agree_with_account", $"""
            {NewTransaction("(select array_agg(id) || $1::uuid from ledger.accounts where kind = 'settlement' and shard = 0 and currency = $2)")},
                s as (select id from ledger.accounts where kind = 'settlement' and shard = 0 and currency = $2)
            {NewEntry.Replace("values", "", StringComparison.Ordinal)}
            select account, now(), t.id, $2, amount, balance from t, (
                select 1 as place, $1 as account, 5 as amount, 1010::bigint as balance union all
                select 2, s.id, -5, null from s union all
                select 3, $1, 5, 1015 union all
                select 4, s.id, -5, null from s) e
            order by place
            """, account, market.Currency);
    }

    [Theory]
    [InlineData("-1 hour")]
    [InlineData("0")]
    public async Task Entry_is_later_than_the_previous_entry_of_its_account(string later)
    {
        var (market, account) = await AccountAsync();
        await RefusedAsync(market, "entries_agree_with_account", BothSides("$1, $2, 5, 1005")
            .Replace("now()", $"(select max(posted_at) + '{later}' from ledger.entries where account_id = $1)", StringComparison.Ordinal), account, market.Currency);
    }

    [Fact]
    public async Task Entry_has_the_currency_of_its_account()
    {
        var (market, account) = await AccountAsync();
        var (other, _) = await AccountAsync();
        await RefusedAsync(market, "entries_agree_with_account", BothSides("$1, $2, 5, 1005"), account, other.Currency);
        await RefusedAsync(market, "entries_agree_with_account", BothSides("gen_random_uuid(), $1, 5, 5"), market.Currency);
    }

    [Fact]
    public async Task Entry_of_another_currency_is_found_beside_a_right_one()
    {
        var (market, account) = await AccountAsync();
        var (other, _) = await AccountAsync();
        await RefusedAsync(market, "entries_agree_with_account", $"""
            {NewTransaction("(select array_agg(id) || $1::uuid from ledger.accounts where kind = 'settlement' and shard = 0 and currency in ($2, $3))")},
                s as (select id, currency from ledger.accounts where kind = 'settlement' and shard = 0 and currency in ($2, $3))
            {NewEntry.Replace("values", "", StringComparison.Ordinal)}
            select * from (
                select $1, now(), t.id, $3, 5, 5::bigint from t union all
                select s.id, now(), t.id, $3, -5, null from t, s where s.currency = $3 union all
                select $1, now(), t.id, $2, 5, 1005 from t union all
                select s.id, now(), t.id, $2, -5, null from t, s where s.currency = $2) e
            """, account, market.Currency, other.Currency);
    }

    [Fact]
    public async Task Entry_belongs_to_a_posted_transaction_of_its_time_that_lists_its_account()
    {
        var (market, account) = await AccountAsync();
        await RefusedAsync(market, "entries_of_transaction",
            NewEntry + "($1, now(), gen_random_uuid(), $2, 5, 1005), ($1, now(), gen_random_uuid(), $2, -5, 1000)".Replace("gen_random_uuid()", $"'{Guid.NewGuid()}'", StringComparison.Ordinal),
            account, market.Currency);
        await RefusedAsync(market, "entries_of_transaction", BothSides("$1, $2, 5, 1005").Replace("account, now(), t.id", "account, now() - interval '1 s', t.id", StringComparison.Ordinal), account, market.Currency);
        await RefusedAsync(market, "entries_of_transaction", BothSides("$1, $2, 5, 1005").Replace("|| (select account from e)", "", StringComparison.Ordinal), account, market.Currency);
        await RefusedAsync(market, "entries_of_transaction", BothSides("$1, $2, 5, 1005", "now() - interval '1 day'"), account, market.Currency);
    }

    [Fact]
    public async Task No_money_moves_on_a_frozen_account()
    {
        var (market, account) = await AccountAsync();
        await Books.ExecuteAsync(market.Database, "update ledger.accounts set status = 'frozen' where id = $1", account);
        await RefusedAsync(market, "entries_agree_with_account", BothSides("$1, $2, 5, 1005"), account, market.Currency);
    }

    [Theory]
    [InlineData("created", 1001, "accounts_within_limit")]
    [InlineData("created", -5, "hold_changes_direction")]
    [InlineData("voided", 5, "hold_changes_direction")]
    [InlineData("captured", -601, null)]
    [InlineData("stolen", -5, null)]
    public async Task Hold_releases_no_more_than_remains(string change, long amount, string? constraint)
    {
        var (market, _) = await AccountAsync();
        var hold = await Holding.OpenAsync(market, market.Users[0], 600);
        await RefusedAsync(market, constraint, """
            insert into ledger.hold_changes (hold_id, transaction_id, change, amount, changed_at) values ($1, gen_random_uuid(), $2, $3, now())
            """, hold, change, amount);
    }

    [Fact]
    public async Task Ended_hold_cannot_change()
    {
        var (market, account) = await AccountAsync();
        var hold = await Holding.OpenAsync(market, market.Users[0], 600);
        await Holding.ChangeAsync(market, hold, "captured", -200);
        await Holding.ChangeAsync(market, hold, "voided", -400);

        Assert.Equal(["voided 600 200 0"], await Books.TextsAsync(market.Database, "select concat_ws(' ', status, amount, captured, remaining) from ledger.holds where id = $1", hold));
        Assert.Equal(0, await Books.NumberAsync(market.Database, "select held from ledger.accounts where id = $1", account));
        await RefusedAsync(market, "hold_changes_of_active_hold", """
            insert into ledger.hold_changes (hold_id, transaction_id, change, amount, changed_at) values ($1, gen_random_uuid(), 'increased', 1, now())
            """, hold);
    }

    [Theory]
    [InlineData("update ledger.holds set remaining = 0 where id = $1")]
    [InlineData("update ledger.holds set status = 'voided' where id = $1")]
    [InlineData("delete from ledger.holds where id = $1")]
    [InlineData("delete from ledger.hold_changes where hold_id = $1")]
    [InlineData("update ledger.hold_changes set amount = 1 where hold_id = $1")]
    public async Task Only_hold_changes_change_a_hold(string sql)
    {
        var (market, _) = await AccountAsync();
        var hold = await Holding.OpenAsync(market, market.Users[0], 600);
        Assert.Equal(PostgresErrorCodes.RestrictViolation, (await RefusedAsync(market, null, sql, hold)).SqlState);
    }

    [Fact]
    public async Task Credit_limit_cannot_be_lowered_below_its_use()
    {
        var (market, account) = await AccountAsync();
        await Books.ExecuteAsync(market.Database, "update ledger.accounts set credit_limit = 500 where id = $1", account);
        await using var connection = await market.Database.OpenConnectionAsync();
        Assert.Equal(Ledger.Core.Transactions.TransactionStatus.Posted, Assert.Single(
            await new PostingEngine().PostAsync(connection, [market.Withdrawal(market.Users[0], 1400)], CancellationToken.None)).Outcome!.Status);

        await RefusedAsync(market, "accounts_within_limit", "update ledger.accounts set credit_limit = 399 where id = $1", account);
    }

    [Theory]
    [InlineData("update ledger.entries set amount = amount + 1 where account_id = $1")]
    [InlineData("delete from ledger.entries where account_id = $1")]
    [InlineData("update ledger.transactions set amount = amount + 1 where id = $1")]
    [InlineData("delete from ledger.transactions where id = $1")]
    [InlineData("update ledger.journal set sequence = sequence + 1 where transaction_id = $1")]
    [InlineData("delete from ledger.blocks where number > 0 or hash = decode(replace($1::text, '-', ''), 'hex')")]
    [InlineData("delete from ledger.accounts where id = $1")]
    public async Task History_cannot_be_changed_or_deleted(string sql)
    {
        var (market, account) = await AccountAsync();
        Assert.Equal(PostgresErrorCodes.RestrictViolation, (await RefusedAsync(market, null, sql, account)).SqlState);
    }

    [Theory]
    [InlineData("ledger.entries")]
    [InlineData("ledger.transactions")]
    [InlineData("ledger.accounts")]
    public async Task History_cannot_be_truncated(string table)
    {
        var (market, _) = await AccountAsync();
        Assert.Equal(PostgresErrorCodes.RestrictViolation, (await RefusedAsync(market, null, $"truncate {table} cascade")).SqlState);
    }

    [Theory]
    [InlineData("deposit", "posted", 0, null)]
    [InlineData("deposit", "posted", -5, null)]
    [InlineData("deposit", "posted", 5, "account_frozen")]
    [InlineData("deposit", "rejected", 5, null)]
    [InlineData("deposit", "pending", 5, null)]
    [InlineData("deposit", "failed", 5, null)]
    [InlineData("barter", "posted", 5, null)]
    public async Task Transaction_has_a_kind_an_amount_and_a_rejection_code_if_and_only_if_it_is_rejected(string kind, string status, long amount, string? rejection)
    {
        var (market, _) = await AccountAsync();
        await RefusedAsync(market, null, """
            insert into ledger.transactions (id, kind, status, principal_id, owner_id, account_ids, currency, amount, created_at, decided_at, rejection, digest)
            values (gen_random_uuid(), $1, $2, $3, $3, '{}', $4, $5, now(), now(), $6, decode(repeat('00', 32), 'hex'))
            """, kind, status, market.Users[0], market.Currency, amount, rejection is null ? DBNull.Value : rejection);
    }

    [Theory]
    [InlineData("usd", 2)]
    [InlineData("US", 2)]
    [InlineData("1USD", 2)]
    [InlineData("TOOLONGFORACODE", 2)]
    [InlineData("TST1", -1)]
    [InlineData("TST1", 13)]
    public async Task Currency_has_a_valid_code_and_exponent(string code, int exponent)
    {
        var (market, _) = await AccountAsync();
        await RefusedAsync(market, null, "insert into ledger.currencies values ($1, 'No', $2, true)", code, (short)exponent);
    }

    [Fact]
    public async Task New_currency_has_all_of_its_settlement_accounts()
    {
        var (market, _) = await AccountAsync();
        Assert.Equal(PostingEngine.SettlementShards, await Books.NumberAsync(
            market.Database, "select count(*) from ledger.accounts where kind = 'settlement' and currency = $1", market.Currency));
    }

    // The first entry is the given one, the other stands on a settlement account and balances it.
    private static string BothSides(string entry, string effectiveAt = "null") => $"""
        with e as (select * from (select {entry}) e(account, currency, amount, balance)),
            {NewTransaction("(select array_agg(s.id) || (select account from e) from e join ledger.accounts s on s.currency = e.currency and s.kind = 'settlement' and s.shard = 0)", effectiveAt)["with ".Length..]}
        {NewEntry.Replace("values", "", StringComparison.Ordinal)}
        select account, now(), t.id, currency, amount, balance from t, (
            select * from e union all
            select s.id, s.currency, -e.amount, null from e join ledger.accounts s on s.currency = e.currency and s.kind = 'settlement' and s.shard = 0) b
        """;

    // A posted transaction on some accounts, as the beginning of a statement that writes its entries: t is its id.
    private static string NewTransaction(string accounts, string effectiveAt = "null") => $"""
        with t as (
            insert into ledger.transactions (id, kind, status, principal_id, account_ids, currency, amount, created_at, decided_at, effective_at, digest)
            select gen_random_uuid(), 'deposit', 'posted', gen_random_uuid(), {accounts}, 'TST', 5, now(), now(), {effectiveAt}, decode(repeat('00', 32), 'hex')
            returning id)
        """;

    // A user with 1000 minor units.
    private async Task<(Market Market, Guid Account)> AccountAsync()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 1);
        await using var connection = await market.Database.OpenConnectionAsync();
        var decision = Assert.Single(await new PostingEngine().PostAsync(connection, [market.Deposit(market.Users[0], 1000)], CancellationToken.None));
        return (market, decision.Outcome!.Entries.Single(entry => entry.OwnerId is not null).AccountId);
    }

    // Whatever gets through all the same is rolled back: it must not spoil the books for the other tests.
    private static async Task<PostgresException> RefusedAsync(Market market, string? constraint, string sql, params object[] parameters)
    {
        await using var connection = await market.Database.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await using var command = new NpgsqlCommand(sql, connection, transaction);
        foreach (var value in parameters)
            command.Parameters.Add(new() { Value = value });
        var refusal = await Assert.ThrowsAsync<PostgresException>(() => command.ExecuteNonQueryAsync());
        Assert.True(refusal.SqlState.StartsWith("23", StringComparison.Ordinal), $"Refused for another reason: {refusal.Message}");
        if (constraint is not null)
            Assert.Equal(constraint, refusal.ConstraintName);
        return refusal;
    }
}
