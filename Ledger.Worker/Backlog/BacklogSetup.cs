namespace Ledger.Worker.Backlog;

public static class BacklogSetup
{
    public static void AddBacklog(this IHostApplicationBuilder builder)
    {
        builder.Services.AddHostedService<PendingRelay>();
        builder.Services.AddHostedService<QueueMonitor>();
        builder.Services.AddHostedService<PendingMonitor>();
    }
}
