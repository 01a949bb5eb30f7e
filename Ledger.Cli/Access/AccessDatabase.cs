using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Cli.Access;

/// <summary>The database as whoever runs the tool may use it, with the audit trail that such use leaves.</summary>
internal static class AccessDatabase
{
    public static async Task<int> UseAsync(Func<NpgsqlDataSource, Task<int>> use)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddEnvironmentVariables();
        builder.AddPostgres<LedgerDbContext>();
        using var host = builder.Build();
        return await use(host.Services.GetRequiredService<NpgsqlDataSource>());
    }

    public static NpgsqlBatchCommand Audit(string action, string subject, string details) => new("""
        insert into identity.audit (actor_kind, action, subject, details) values ('command_line', $1, $2, jsonb_build_object('what', $3, 'by', session_user)::json)
        """)
    {
        Parameters = { new() { Value = action }, new() { Value = subject }, new() { Value = details, NpgsqlDbType = NpgsqlDbType.Text } },
    };
}
