using Ledger.Api.Accounts;
using Ledger.Api.Audit;
using Ledger.Api.Balances;
using Ledger.Api.Currencies;
using Ledger.Api.Edge;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Journal;
using Ledger.Api.Limits;
using Ledger.Api.Oidc;
using Ledger.Api.OpenApi;
using Ledger.Api.Periods;
using Ledger.Api.Requests;
using Ledger.Api.ServiceAccounts;
using Ledger.Api.Transactions;
using Ledger.Api.Users;
using Ledger.Api.Verification;
using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;

return await Service.RunAsync(args, () => Ledger.Api.Application.Build(args));

namespace Ledger.Api
{
    /// <summary>The API, from top to bottom.</summary>
    public static class Application
    {
        /// <summary>Builds the application without starting it.</summary>
        public static WebApplication Build(string[] args)
        {
            var builder = WebApplication.CreateSlimBuilder(args);
            builder.AddServiceDefaults();
            builder.AddPostgres<LedgerDbContext>(DatabaseRoles.Api);
            builder.AddRabbitMQ();
            builder.AddEdge();
            builder.AddRequestLimits();
            builder.AddRateLimits();
            builder.AddErrors();
            builder.AddJson();
            builder.AddIdentity();
            builder.AddOidc();
            builder.AddCurrencies();
            builder.AddAccounts();
            builder.AddStatements();
            builder.AddTransactions();
            builder.AddJournal();
            builder.AddOpenApiDocument();

            var app = builder.Build();
            app.UseServiceDefaults();
            app.UseEdge();
            app.UseErrors();
            app.UseRequestLimits();
            app.UseQuotedCharsets();
            app.UseAuthentication();
            app.UseRateLimiter();
            app.UseAuthorization();

            var routes = app.MapGroup("").AnswerHead();
            var api = routes.MapGroup("/api/v1").RefuseUnknownAndRepeatedParameters();
            api.MapIdentity();
            api.MapBalances();
            api.MapAccounts();
            api.MapStatements();
            api.MapHouseAccounts();
            api.MapPeriods();
            api.MapTransactions();
            api.MapFailedCommands();
            api.MapJournal();
            api.MapJournalProof();
            api.MapCurrencies();
            api.MapUsers();
            api.MapUserResource();
            api.MapServices();
            api.MapAudit();
            api.MapVerification();
            routes.MapOpenApi().AllowAnonymous();
            routes.MapScalar();
            app.MapServiceHealth();
            app.LogSelfServiceDeposits();
            return app;
        }
    }
}
