using Ledger.AppHost;
using Ledger.AppHost.Output;
using Ledger.AppHost.Servers;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.DependencyInjection;

return CommandLine.Run(args, options =>
{
    var builder = Dashboard.CreateBuilder(options);
    var isRun = builder.ExecutionContext.IsRunMode;
    var useContainers = !isRun || (options.UseContainers ?? ContainerEngine.Answers(builder.Configuration));
    var data = useContainers ? null : builder.OpenDataDirectory(options);

    // Letters and digits: the password of RabbitMQ is part of a URI, which not every deployment tool encodes.
    var postgresPassword = builder.AddPassword(ResourceNames.PostgresPassword, data?.Passwords.PostgresPassword);
    var messagingPassword = builder.AddPassword(ResourceNames.MessagingPassword, data?.Passwords.RabbitMqPassword);

    var (database, messaging) = data is null
        ? builder.AddContainers(postgresPassword, messagingPassword, options)
        : (
            builder.AddLocalPostgres(
                ResourceNames.Postgres, ResourceNames.Database, Ports.Claim(options.PostgresPort, "PostgreSQL", "--postgres-port"), postgresPassword, data),
            builder.AddLocalRabbitMQ(
                ResourceNames.Messaging, Ports.Claim(options.RabbitMqPort, "RabbitMQ", "--rabbitmq-port"),
                Ports.Claim(options.ManagementPort, "RabbitMQ's management page", "--management-port"), messagingPassword, data));

    // Here and below, connection strings alone: hosts, users and passwords one by one would end in the plain configuration
    // of a deployment. The restriction applies to the references that follow it.
    var migrations = builder.AddProgram<Projects.Ledger_Cli>(ResourceNames.Migrations, "ledger.dll")
        .WithArgs("migrate")
        .WithReferenceEnvironment(ReferenceEnvironmentInjectionFlags.ConnectionString)
        .WithReference(database).WaitFor(database);

    var apis = Enumerable.Range(0, options.Apis).Select(index =>
    {
        var name = Services.Numbered(ResourceNames.Api, index);
        return Service<Projects.Ledger_Api>(name, "Ledger.Api.dll")
            .WithExternalHttpEndpoints()
            .WithUrlForEndpoint("http", _ => new() { Url = "/scalar", DisplayText = "Scalar" })
            .OnThisMachine(isRun ? Ports.Claim(options.ApiPort == 0 ? 0 : options.ApiPort + index, name, "--port") : 0, options, data);
    }).ToList();

    var workers = Enumerable.Range(0, options.Workers).Select(index =>
        Service<Projects.Ledger_Worker>(Services.Numbered(ResourceNames.Worker, index), "Ledger.Worker.dll")
            .OnThisMachine(isRun ? Ports.Free() : 0, options, data)).ToList();

    if (isRun && apis.Count > 0)
    {
        builder.AddProgram<Projects.Ledger_Cli>(ResourceNames.Load, "ledger.dll")
            .WithArgs("load", "--rate", "100", "--duration", "30s", "--url", apis[0].GetEndpoint("http"))
            .WaitFor(apis[0])
            .WithExplicitStart();
    }

    if (isRun)
    {
        builder.AddMonitoring(apis, workers, messaging, data, options);
        builder.Services.AddHostedService<StopInOrder>();
        builder.AddWelcome(apis, workers, messaging, database, migrations, data, options);
        if (!options.IsTest)
            builder.AlongsideTheRun((services, token) => ActivatorUtilities.CreateInstance<Supervisor>(services).RunAsync(token));
    }
    return builder;

    IResourceBuilder<ProjectResource> Service<TProject>(string name, string assembly) where TProject : IProjectMetadata, new() =>
        builder.AddProgram<TProject>(name, assembly)
            // The services trust the proxies that Ledger__Http__KnownProxies names, and no other.
            .DisableForwardedHeaders()
            .WithReferenceEnvironment(ReferenceEnvironmentInjectionFlags.ConnectionString)
            .WithReference(database).WaitForCompletion(migrations)
            .WithReference(messaging).WaitFor(messaging)
            .WithHttpHealthCheck("/health");
});
