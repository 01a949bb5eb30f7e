using Microsoft.Extensions.Hosting;

namespace Ledger.AppHost;

/// <summary>Stops the services while PostgreSQL and RabbitMQ still run: Aspire stops all at once, and a service could not finish its work.</summary>
internal sealed class StopInOrder(DistributedApplicationModel model, ResourceCommandService commands, ResourceNotificationService notifications) : IHostedService
{
    // A testing application stops its host twice.
    private int _isDone;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    // Hosted services stop in the reverse order of their registration: this one before Aspire's own.
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _isDone, 1) == 1)
            return;
        await Task.WhenAll(model.GetProjectResources()
            .Where(project => notifications.TryGetCurrentState(project.Name, out var state) && state.Snapshot.State?.Text == KnownResourceStates.Running)
            .Select(project => commands.ExecuteCommandAsync(project, KnownResourceCommands.StopCommand, cancellationToken)));
    }
}
