using Npgsql;

namespace Ledger.Core.Persistence;

/// <summary>The database roles of the processes. Each process sets the role that has the rights that it needs.</summary>
public static class DatabaseRoles
{
    /// <summary>Reads and writes identity, and reads the ledger's rows of its caller (row-level security). It cannot write money.</summary>
    public const string Api = "ledger_api";

    /// <summary>Reads and writes the ledger, and cannot read identity.</summary>
    public const string Worker = "ledger_worker";

    /// <summary>Lets role <see cref="Api"/> see all rows in the same transaction if its caller is an operator or auditor.</summary>
    public static NpgsqlBatchCommand ReadEverything() => new("select set_config('ledger.scope', 'everything', true)");

    /// <summary>
    /// Sets the caller of the later statements in the same batch or transaction. Role <see cref="Api"/> sees this user's rows only. It
    /// costs one statement and no round trip.
    /// </summary>
    public static NpgsqlBatchCommand ActFor(Guid user) => new("select set_config('ledger.caller', $1, true)")
    {
        Parameters = { new NpgsqlParameter<string> { TypedValue = user.ToString() } },
    };
}
