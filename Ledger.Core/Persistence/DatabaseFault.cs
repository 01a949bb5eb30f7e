using System.Net.Sockets;
using Npgsql;

namespace Ledger.Core.Persistence;

/// <summary>What an error of PostgreSQL or of the way to it means for the statements that met it.</summary>
public enum DatabaseFault
{
    /// <summary>The statements themselves cannot be executed, now or later.</summary>
    Statement,
    /// <summary>Another session was faster, or PostgreSQL chose this one to end a deadlock: the same again, at once, meets another state.</summary>
    Race,
    /// <summary>A lock or an answer did not come within the session's timeout: other statements may fare better.</summary>
    Busy,
    /// <summary>There is no database that can do this now: none, one that starts, stops, only reads, has no room, or has another schema.</summary>
    Away,
}

/// <summary>The one place that judges PostgreSQL's errors.</summary>
public static class DatabaseFaults
{
    /// <summary>What an exception means. Entity Framework and data protection wrap what the driver throws.</summary>
    public static DatabaseFault Of(Exception exception) => exception switch
    {
        PostgresException e => Of(e.SqlState),
        NpgsqlException or TimeoutException or IOException or SocketException => DatabaseFault.Away,
        { InnerException: { } inner } => Of(inner),
        _ => DatabaseFault.Statement,
    };

    private static DatabaseFault Of(string state) => state switch
    {
        // A prepared statement that a migration has made invalid is prepared anew.
        PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.SerializationFailure
            or PostgresErrorCodes.FeatureNotSupported or PostgresErrorCodes.InvalidSqlStatementName => DatabaseFault.Race,
        PostgresErrorCodes.QueryCanceled or PostgresErrorCodes.LockNotAvailable => DatabaseFault.Busy,
        _ => state[..2] switch
        {
            // 25: a server that only reads, from which another has taken over; or one that ended an idle transaction (25P03).
            // 42: a schema of another version, or none yet. To fail commands for it would be final.
            "08" or "25" or "28" or "3D" or "40" or "42" or "53" or "55" or "57" or "58" => DatabaseFault.Away,
            _ => DatabaseFault.Statement,
        },
    };
}
