using Npgsql;

namespace Ledger.Core.Persistence;

/// <summary>What the processes are in the database: each steps down to a role that may do what it does, and no more.</summary>
public static class DatabaseRoles
{
    /// <summary>Identity, and of the ledger the rows of whom it says it reads for (row-level security); no writing of money.</summary>
    public const string Api = "ledger_api";

    /// <summary>The ledger, and no identity.</summary>
    public const string Worker = "ledger_worker";

    /// <summary>Lets role <see cref="Api"/> see everybody's rows in the same transaction, if its caller is an operator or auditor.</summary>
    public static NpgsqlBatchCommand ReadEverything() => new("select set_config('ledger.scope', 'everything', true)");

    /// <summary>
    /// Says for whom the statements behind it in the same batch or transaction are. Role <see cref="Api"/> sees that user's rows
    /// and nobody else's. One more statement on the way, no round trip.
    /// </summary>
    public static NpgsqlBatchCommand ActFor(Guid user) => new("select set_config('ledger.caller', $1, true)")
    {
        Parameters = { new NpgsqlParameter<string> { TypedValue = user.ToString() } },
    };
}
