using Ledger.Api.Balances;
using Ledger.Api.Commands;
using Ledger.Api.Currencies;
using Ledger.Api.Http;
using Ledger.Api.Identity;
using Ledger.Api.Problems;
using Ledger.Api.Transactions;
using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;

return await Service.RunAsync(args, () =>
{
    var builder = WebApplication.CreateSlimBuilder(args);
    builder.AddServiceDefaults();
    builder.AddPostgres<LedgerDbContext>();
    builder.AddRabbitMQ();
    builder.AddHttpLimits();
    builder.AddJsonAndProblems();
    builder.AddIdentity();
    builder.AddCommandGateway();
    builder.AddTransactions();
    builder.AddOpenApiDocument();

    var app = builder.Build();
    app.UseServiceDefaults();
    app.UseRequestSpans();
    app.UsePathPrefix();
    app.UseExceptionHandler();
    app.UseStatusCodePages();
    app.UseAuthentication();
    app.UseAuthorization();

    var api = app.MapGroup("/api/v1");
    api.MapIdentity();
    api.MapCurrencies();
    api.MapBalances();
    api.MapTransactions();
    app.MapOpenApi().AllowAnonymous();
    app.MapScalar();
    app.MapServiceHealth();
    return app;
});
