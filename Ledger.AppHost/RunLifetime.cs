using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Ledger.AppHost;

internal static class RunLifetime
{
    /// <summary>
    /// Does something from before the first resource starts until everything has stopped. A hosted service would begin when
    /// everything has started, and end before the resources do.
    /// </summary>
    public static void AlongsideTheRun(this IDistributedApplicationBuilder builder, Func<IServiceProvider, CancellationToken, Task> work) =>
        builder.Eventing.Subscribe<BeforeStartEvent>((start, _) =>
        {
            var stopped = start.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopped;
            Task.Run(async () =>
            {
                try
                {
                    await work(start.Services, stopped);
                }
                catch (OperationCanceledException) when (stopped.IsCancellationRequested)
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
