using Ledger.Api.Administration;
using Ledger.Api.Balances;
using Ledger.Api.Commands;
using Ledger.Api.Currencies;
using Ledger.Api.Http;
using Ledger.Api.Identity;
using Ledger.Api.Problems;
using Ledger.Api.Transactions;
using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;

return await Service.RunAsync(args, () => Ledger.Api.Application.Build(args));

namespace Ledger.Api
{
    /// <summary>The API, from top to bottom.</summary>
    public static class Application
    {
        /// <summary>Everything in its place, nothing started.</summary>
        public static WebApplication Build(string[] args)
        {
            var builder = WebApplication.CreateSlimBuilder(args);
            builder.AddServiceDefaults();
            builder.AddPostgres<LedgerDbContext>(DatabaseRoles.Api);
            builder.AddRabbitMQ();
            builder.AddHttpLimits();
            builder.AddRateLimits();
            builder.AddEdge();
            builder.AddJsonAndProblems();
            builder.AddIdentity();
            builder.AddCommandGateway();
            builder.AddTransactions();
            builder.AddOpenApiDocument();

            var app = builder.Build();
            app.UseServiceDefaults();
            app.UseEdge();
            app.UseExceptionHandler();
            app.UseStatusCodePages(status => Problem.OfStatus(status.HttpContext).ExecuteAsync(status.HttpContext));
            app.UseRequestTimeouts();
            app.UseBodyLimit();
            app.UseQuotedCharsets();
            app.UseAuthentication();
            app.UseRateLimiter();
            app.UseAuthorization();

            var routes = app.MapGroup("").AnswerHead();
            var api = routes.MapGroup("/api/v1").RefuseUnknownAndRepeatedParameters();
            api.MapIdentity();
            api.MapCurrencies();
            api.MapBalances();
            api.MapTransactions();
            api.MapAdministration();
            routes.MapOpenApi().AllowAnonymous();
            routes.MapScalar();
            app.MapServiceHealth();
            app.LogSelfServiceDeposits();
            app.StartCountersAtZero();
            return app;
        }
    }
}
