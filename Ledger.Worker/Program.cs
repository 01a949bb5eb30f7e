using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;
using Ledger.Worker.Posting;
using Ledger.Worker.Relay;

return await Service.RunAsync(() =>
{
    var builder = WebApplication.CreateSlimBuilder(args);
    builder.AddServiceDefaults();
    builder.AddPostgres<LedgerDbContext>();
    builder.AddRabbitMQ();
    builder.AddPosting();
    builder.Services.AddHostedService<PendingRelay>();

    var app = builder.Build();
    app.MapServiceHealth();
    return app;
});
