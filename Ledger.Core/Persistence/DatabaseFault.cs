using System.Net.Sockets;
using Npgsql;

namespace Ledger.Core.Persistence;

/// <summary>What an error of PostgreSQL, or of the connection to it, means for the failed statements.</summary>
public enum DatabaseFault
{
    /// <summary>The statements cannot be executed, now or later.</summary>
    Statement,
    /// <summary>Another session was faster, or PostgreSQL ended this one to resolve a deadlock. The statements can be repeated at once.</summary>
    Race,
    /// <summary>A lock or an answer did not come within the session's timeout. Other statements may succeed.</summary>
    Busy,
    /// <summary>The database is unavailable: it is down, starts, stops, is read-only, has no space, or has another schema.</summary>
    Away,
}

/// <summary>The one place that judges PostgreSQL's errors.</summary>
public static class DatabaseFaults
{
    /// <summary>Classifies an exception. Entity Framework and data protection wrap the driver's exceptions.</summary>
    public static DatabaseFault Of(Exception exception) => exception switch
    {
        PostgresException e => Of(e.SqlState),
        NpgsqlException or TimeoutException or IOException or SocketException => DatabaseFault.Away,
        { InnerException: { } inner } => Of(inner),
        _ => DatabaseFault.Statement,
    };

    private static DatabaseFault Of(string state) => state switch
    {
        // The last two: a migration has made a prepared statement invalid. It is prepared anew.
        PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.SerializationFailure
            or PostgresErrorCodes.FeatureNotSupported or PostgresErrorCodes.InvalidSqlStatementName => DatabaseFault.Race,
        PostgresErrorCodes.QueryCanceled or PostgresErrorCodes.LockNotAvailable => DatabaseFault.Busy,
        _ => state[..2] switch
        {
            // 25: a read-only server after a failover, or the end of an idle transaction (25P03).
            // 42: a schema of another version, or none yet. Failing commands for that would be final.
            "08" or "25" or "28" or "3D" or "40" or "42" or "53" or "55" or "57" or "58" => DatabaseFault.Away,
            _ => DatabaseFault.Statement,
        },
    };
}
