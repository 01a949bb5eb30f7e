using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;
using Ledger.Worker.Backlog;
using Ledger.Worker.Journal;
using Ledger.Worker.Posting;
using Ledger.Worker.Retention;
using Ledger.Worker.Verification;

return await Service.RunAsync(args, () =>
{
    var builder = WebApplication.CreateSlimBuilder(args);
    builder.AddServiceDefaults();
    builder.AddPostgres<LedgerDbContext>(DatabaseRoles.Worker);
    builder.AddRabbitMQ();
    builder.AddPosting();
    builder.AddBacklog();
    builder.AddJournal();
    builder.AddVerification();
    builder.AddRetention();

    var app = builder.Build();
    app.UseServiceDefaults();
    app.MapServiceHealth();
    app.StartCountersAtZero();
    return app;
});
