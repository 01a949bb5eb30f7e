using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Ledger.AppHost;

internal static class RunLifetime
{
    /// <summary>
    /// Does something from before the first resource starts until the run ends. A hosted service would begin when everything
    /// has started.
    /// </summary>
    public static void AlongsideTheRun(this IDistributedApplicationBuilder builder, Func<IServiceProvider, CancellationToken, Task> work) =>
        builder.Eventing.Subscribe<BeforeStartEvent>((start, _) =>
        {
            var stopping = start.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
            Task.Run(async () =>
            {
                try
                {
                    await work(start.Services, stopping);
                }
                catch (OperationCanceledException) when (stopping.IsCancellationRequested)
                {
                    // The run ends.
                }
                catch (Exception e)
                {
                    await Console.Error.WriteLineAsync($"ledger: {e}");
                }
            }, CancellationToken.None);
            return Task.CompletedTask;
        });
}
