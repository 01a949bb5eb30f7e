using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Worker.Retention;

/// <summary>
/// Removes old sign-ins from the audit trail. The worker's role can neither read nor delete there: it calls a function of the
/// schema's owner, which rejects ages below 90 days.
/// </summary>
public sealed partial class AuditRetention(NpgsqlDataSource database, IOptions<AuditOptions> options, ILogger<AuditRetention> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (options.Value.IntervalMinutes == 0)
            return;

        using var timer = new PeriodicTimer(TimeSpan.FromMinutes(options.Value.IntervalMinutes));
        try
        {
            do
            {
                await RemoveAsync(stoppingToken);
            }
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    private async Task RemoveAsync(CancellationToken cancellationToken)
    {
        var removed = 0L;
        try
        {
            int last;
            do
            {
                removed += last = await RemoveSomeAsync(cancellationToken);
            }
            while (last == options.Value.RemoveAtOnce);
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            LogFailed(e.Message);
        }
        if (removed > 0)
            LogRemoved(removed, options.Value.SignInDays);
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

    [LoggerMessage(LogLevel.Warning, "Old sign-ins cannot be removed from the audit trail now: {Reason}")]
    private partial void LogFailed(string reason);
}
