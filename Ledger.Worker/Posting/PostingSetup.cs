using Ledger.Core.Currencies;
using Ledger.Core.Messaging;
using Ledger.ServiceDefaults;

namespace Ledger.Worker.Posting;

public static class PostingSetup
{
    public static void AddPosting(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<WorkerOptions>("Worker");
        builder.Services.AddSingleton<BrokerConnection>();
        builder.Services.AddSingleton<CurrencyCatalog>();
        builder.Services.AddSingleton<BatchPoster>();
        builder.Services.AddSingleton<EventPublisher>();
        builder.Services.AddSingleton<BatchAnswerer>();
        builder.Services.AddSingleton<CommandConsumer>();
        builder.Services.AddHostedService(services => services.GetRequiredService<CommandConsumer>());
        builder.Services.AddHostedService<ShardMonitor>();
        builder.AddServiceHealth().AddReadiness<ConsumerCheck>("rabbitmq");
    }

    /// <summary>
    /// Starts the counters at zero: Prometheus sees no increase in a series whose first value is one. It waits for the start of
    /// the application, because a value that is recorded before the exporter listens is lost.
    /// </summary>
    public static void StartCountersAtZero(this WebApplication app) => app.Lifetime.ApplicationStarted.Register(PostingMetrics.StartAtZero);
}
