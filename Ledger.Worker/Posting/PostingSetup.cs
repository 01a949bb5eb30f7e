using Ledger.Core.Currencies;
using Ledger.Core.Messaging;
using Ledger.ServiceDefaults;

namespace Ledger.Worker.Posting;

public static class PostingSetup
{
    public static void AddPosting(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<WorkerOptions>("Worker");
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<BrokerConnection>();
        builder.Services.AddSingleton<CurrencyCatalog>();
        builder.Services.AddSingleton<BatchPoster>();
        builder.Services.AddSingleton<BatchAnswerer>();
        builder.Services.AddSingleton<CommandConsumer>();
        builder.Services.AddHostedService(services => services.GetRequiredService<CommandConsumer>());
        builder.AddServiceHealth().AddReadiness<ConsumerCheck>("rabbitmq");
    }

    /// <summary>
    /// Counters are there from the start, at zero: Prometheus sees no increase in a series that begins at one. Not before the
    /// start: what is counted while nobody measures yet is lost, a zero too.
    /// </summary>
    public static void StartCountersAtZero(this WebApplication app) => app.Lifetime.ApplicationStarted.Register(PostingMetrics.StartAtZero);
}
