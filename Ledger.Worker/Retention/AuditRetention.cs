using Ledger.ServiceDefaults;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Worker.Retention;

/// <summary>
/// Removes old sign-ins from the audit trail. The worker's role can neither read nor delete there: it calls a function of the
/// schema's owner, which rejects ages below 90 days.
/// </summary>
public sealed partial class AuditRetention(
    NpgsqlDataSource database, TimeProvider clock, IOptions<AuditOptions> options, ILogger<AuditRetention> logger)
    : PeriodicService("Removing old sign-ins from the audit trail", TimeSpan.FromMinutes(options.Value.IntervalMinutes), clock, logger)
{
    protected override async Task RunAsync(CancellationToken stoppingToken)
    {
        var removed = 0L;
        try
        {
            int last;
            do
            {
                removed += last = await RemoveSomeAsync(stoppingToken);
            }
            while (last == options.Value.RemoveAtOnce);
        }
        finally
        {
            if (removed > 0)
                LogRemoved(removed, options.Value.SignInDays);
        }
    }

    private async Task<int> RemoveSomeAsync(CancellationToken cancellationToken)
    {
        await using var remove = database.CreateCommand("select identity.remove_sign_ins($1, $2)");
        remove.Parameters.Add(new() { Value = TimeSpan.FromDays(options.Value.SignInDays) });
        remove.Parameters.Add(new() { Value = options.Value.RemoveAtOnce });
        return (int)(await remove.ExecuteScalarAsync(cancellationToken))!;
    }

    [LoggerMessage(LogLevel.Information, "Removed {Count} sign-ins that are older than {Days} days from the audit trail")]
    private partial void LogRemoved(long count, int days);
}
