using Ledger.ServiceDefaults;

namespace Ledger.Worker.Retention;

public static class RetentionSetup
{
    public static void AddRetention(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<AuditOptions>("Audit");
        builder.Services.AddHostedService<AuditRetention>();
    }
}
