using Ledger.ServiceDefaults;

namespace Ledger.Worker.Verification;

public static class VerificationSetup
{
    public static void AddVerification(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<VerificationOptions>("Verification");
        builder.Services.AddHostedService<VerificationService>();
    }
}
