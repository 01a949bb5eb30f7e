using Ledger.ServiceDefaults;

namespace Ledger.Worker.Journal;

public static class JournalSetup
{
    public static void AddJournal(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<JournalOptions>("Journal");
        builder.Services.AddHostedService<SealingService>();
    }
}
