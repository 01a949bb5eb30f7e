using Ledger.Core.Messaging;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Ledger.Api.Transactions;

public static class TransactionSetup
{
    public static void AddTransactions(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<GatewayOptions>("Gateway");
        builder.Services.AddSingleton<BrokerConnection>();
        builder.Services.AddSingleton<CommandGateway>();
        builder.Services.AddHostedService(services => services.GetRequiredService<CommandGateway>());
        builder.AddServiceHealth().AddReadiness<GatewayCheck>("rabbitmq");

        builder.Services.AddSingleton<CommandReader>();
        builder.Services.AddSingleton<OperatorCommandReader>();
        builder.Services.AddSingleton<CommandHandler>();
        builder.Services.AddSingleton<TransactionQueries>();
        builder.AddSelfServiceDeposits();
        CommandMetrics.Register();
    }

    private sealed class GatewayCheck(CommandGateway gateway) : IHealthCheck
    {
        public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
            Task.FromResult(gateway.IsReady ? HealthCheckResult.Healthy() : new HealthCheckResult(context.Registration.FailureStatus));
    }
}
