using Npgsql;

namespace Ledger.Tests.Harness;

/// <summary>What must hold for the ledger as a whole at any moment, and what a single user has left in it.</summary>
public static class Books
{
    // Some of the verifier's rules, written once more on purpose: tests of the engine must not depend on the verifier's being
    // right, and what either has forgotten the other may find.
    private const string Errors = """
        select 'entries in ' || currency || ' sum to ' || sum(amount)
        from ledger.entries group by currency having sum(amount) <> 0
        union all
        select 'account ' || a.id || ' (' || a.kind || ') says ' || a.posted || ', its entries ' || coalesce(sum(e.amount), 0)
        from ledger.accounts a left join ledger.entries e on e.account_id = a.id
        group by a.id having a.posted <> coalesce(sum(e.amount), 0)
        union all
        select 'account ' || id || ' has ' || posted || ' and holds ' || held
        from ledger.accounts where kind = 'user' and (posted - held < -credit_limit or held < 0)
        union all
        select 'transaction ' || t.id || ' is ' || t.status || ' and has ' || count(e.id) || ' entries'
        from ledger.transactions t left join ledger.entries e on e.transaction_id = t.id
        group by t.id having case
            when t.status <> 'posted' then count(e.id) <> 0
            when t.kind in ('deposit', 'withdrawal', 'transfer') then count(e.id) <> 2
            else count(e.id) < 2 or count(e.id) % 2 <> 0 end
        union all
        select 'entry ' || e.id || ' has no transaction'
        from ledger.entries e where not exists (select from ledger.transactions t where t.id = e.transaction_id)
        union all
        -- The statement: each entry of a user's account follows from the one before it.
        select 'entry ' || id || ' says ' || balance_after || ' where its account stood at ' || running
        from (
            select e.id, e.balance_after, sum(e.amount) over (partition by e.account_id order by e.posted_at, e.id) running
            from ledger.entries e join ledger.accounts a on a.id = e.account_id and a.kind = 'user') s
        where balance_after is distinct from running
        """;

    /// <summary>Fails the test where the books do not balance. One statement sees one state, also while others write.</summary>
    public static async Task MustBalanceAsync(NpgsqlDataSource database) =>
        Assert.Empty(await TextsAsync(database, Errors + " limit 20"));

    /// <summary>Fails the test if anything waits to be decided.</summary>
    public static async Task NothingPendingAsync(NpgsqlDataSource database, TimeSpan within)
    {
        IReadOnlyList<string> pending = [];
        await Eventually.TrueAsync(
            async () => (pending = await TextsAsync(database, "select id || ' ' || coalesce(failure, '') from ledger.pending_commands limit 20")).Count == 0,
            within, () => $"Still pending: {string.Join(", ", pending)}.");
    }

    /// <summary>How many rows of any kind an owner has: none, if nothing that it sent was accepted.</summary>
    public static Task<long> RowsOfAsync(NpgsqlDataSource database, Guid owner) => NumberAsync(database, """
        select (select count(*) from ledger.transactions where owner_id = $1 or recipient_id = $1)
            + (select count(*) from ledger.pending_commands where owner_id = $1)
            + (select count(*) from ledger.idempotency_keys where principal_id = $1)
            + (select count(*) from ledger.accounts where owner_id = $1)
        """, owner);

    /// <summary>The first number that a statement returns.</summary>
    public static async Task<long> NumberAsync(NpgsqlDataSource database, string sql, params object[] parameters)
    {
        await using var command = Command(database, sql, parameters);
        return Convert.ToInt64(await command.ExecuteScalarAsync(), System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>The first column of what a statement returns.</summary>
    public static async Task<IReadOnlyList<string>> TextsAsync(NpgsqlDataSource database, string sql, params object[] parameters)
    {
        await using var command = Command(database, sql, parameters);
        await using var reader = await command.ExecuteReaderAsync();
        var texts = new List<string>();
        while (await reader.ReadAsync())
            texts.Add(reader.GetString(0));
        return texts;
    }

    /// <summary>Runs a statement; returns the number of rows.</summary>
    public static async Task<int> ExecuteAsync(NpgsqlDataSource database, string sql, params object[] parameters)
    {
        await using var command = Command(database, sql, parameters);
        return await command.ExecuteNonQueryAsync();
    }

    private static NpgsqlCommand Command(NpgsqlDataSource database, string sql, object[] parameters)
    {
        var command = database.CreateCommand(sql);
        foreach (var value in parameters)
            command.Parameters.Add(new() { Value = value });
        return command;
    }
}
