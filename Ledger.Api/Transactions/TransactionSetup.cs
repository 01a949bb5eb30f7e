using Ledger.Core.Currencies;

namespace Ledger.Api.Transactions;

public static class TransactionSetup
{
    public static void AddTransactions(this IHostApplicationBuilder builder)
    {
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<CurrencyCatalog>();
        builder.Services.AddSingleton<CommandReader>();
        builder.Services.AddSingleton<CommandHandler>();
        builder.Services.AddSingleton<TransactionQueries>();
    }
}
