using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;
using Ledger.Worker.Backlog;
using Ledger.Worker.Posting;

return await Service.RunAsync(() =>
{
    var builder = WebApplication.CreateSlimBuilder(args);
    builder.AddServiceDefaults();
    builder.AddPostgres<LedgerDbContext>();
    builder.AddRabbitMQ();
    builder.AddPosting();
    builder.AddBacklog();

    var app = builder.Build();
    app.UseServiceDefaults();
    app.MapServiceHealth();
    return app;
});
