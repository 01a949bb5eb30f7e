using Ledger.Tests.Harness;

namespace Ledger.Tests.Posting;

/// <summary>Holds as the database keeps them, made without a command.</summary>
internal static class Holding
{
    /// <summary>Sets an amount aside on a user's account; returns the hold's id.</summary>
    public static async Task<Guid> OpenAsync(Market market, Guid user, long amount)
    {
        var hold = Guid.CreateVersion7();
        await Books.ExecuteAsync(market.Database, """
            insert into ledger.holds (id, account_id, principal_id, owner_id, currency, created_at, expires_at)
            select $1, id, owner_id, owner_id, currency, now(), now() + interval '1 day' from ledger.accounts where owner_id = $2 and currency = $3
            """, hold, user, market.Currency);
        await ChangeAsync(market, hold, "created", amount);
        return hold;
    }

    /// <summary>Changes what remains of a hold.</summary>
    public static Task ChangeAsync(Market market, Guid hold, string change, long amount) => Books.ExecuteAsync(
        market.Database, "insert into ledger.hold_changes (hold_id, transaction_id, change, amount, changed_at) values ($1, gen_random_uuid(), $2, $3, now())", hold, change, amount);
}
