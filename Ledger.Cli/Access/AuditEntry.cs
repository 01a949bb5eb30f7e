using Npgsql;
using NpgsqlTypes;

namespace Ledger.Cli.Access;

/// <summary>Entries of the audit trail for actions of the command line.</summary>
internal static class AuditEntry
{
    /// <summary>The statement that records an action, with the database user as its author.</summary>
    public static NpgsqlBatchCommand Insert(string action, string subject, string details) => new("""
        insert into identity.audit (actor_kind, action, subject, details) values ('command_line', $1, $2, jsonb_build_object('what', $3, 'by', session_user)::json)
        """)
    {
        Parameters = { new() { Value = action }, new() { Value = subject }, new() { Value = details, NpgsqlDbType = NpgsqlDbType.Text } },
    };
}
