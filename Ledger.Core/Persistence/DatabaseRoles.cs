using Npgsql;

namespace Ledger.Core.Persistence;

/// <summary>The database roles of the processes. Each process sets the role that has the rights that it needs.</summary>
public static class DatabaseRoles
{
    /// <summary>Reads and writes identity, and reads the ledger's rows of its caller (row-level security). It cannot write money.</summary>
    public const string Api = "ledger_api";

    /// <summary>Reads and writes the ledger, and cannot read identity.</summary>
    public const string Worker = "ledger_worker";

    /// <summary>Lets role <see cref="Api"/> see all rows in the same transaction if its caller may read for others.</summary>
    public static NpgsqlBatchCommand ReadEverything() => new("select set_config('ledger.scope', 'everything', true)");

    /// <summary>
    /// Sets the caller of the later statements in the same batch or transaction, and the user for whom it acts. Role <see cref="Api"/>
    /// sees this user's rows only, and none if the caller may not act for the user. It costs one statement and no round trip.
    /// </summary>
    /// <param name="caller">A user or a service account.</param>
    /// <param name="user">The user for whom it acts; null if it acts for itself.</param>
    public static NpgsqlBatchCommand ActFor(Guid caller, Guid? user = null) => user is null || user == caller
        ? new("select set_config('ledger.caller', $1, true)") { Parameters = { new NpgsqlParameter<string> { TypedValue = caller.ToString() } } }
        : new("select set_config('ledger.caller', $1, true), set_config('ledger.acts_for', $2, true)")
        {
            Parameters = { new NpgsqlParameter<string> { TypedValue = caller.ToString() }, new NpgsqlParameter<string> { TypedValue = user.Value.ToString() } },
        };
}
