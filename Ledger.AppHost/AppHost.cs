using Ledger.AppHost;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.Configuration;

// Configuration wants a value for each key; --monitoring is a bare switch.
var builder = DistributedApplication.CreateBuilder([.. args.Select(arg => arg == "--monitoring" ? "Monitoring=true" : arg)]);
var keepsData = builder.Configuration.GetValue("UseVolumes", true);
var isMonitored = builder.ExecutionContext.IsRunMode && builder.Configuration.GetValue("Monitoring", false);

// Letters and digits: the password of RabbitMQ is part of a URI, which not every deployment tool encodes.
var generated = new GenerateParameterDefault { MinLength = 32, Special = false };
var postgresPassword = builder.AddParameter(ResourceNames.PostgresPassword, generated, secret: true, persist: true);
var messagingPassword = builder.AddParameter(ResourceNames.MessagingPassword, generated, secret: true, persist: true);

// The image is pinned: from 18 on, PostgreSQL keeps its data in another directory.
var postgres = builder.AddPostgres(ResourceNames.Postgres, password: postgresPassword).WithImageTag("17.6");
var database = postgres.AddDatabase(ResourceNames.Database);

var messaging = builder.AddRabbitMQ(ResourceNames.Messaging, password: messagingPassword)
    .WithImageTag("4.3-management")
    .WithManagementPlugin();

if (keepsData)
{
    postgres.WithDataVolume("ledger-postgres").WithLifetime(ContainerLifetime.Persistent);
    messaging.WithDataVolume("ledger-messaging").WithLifetime(ContainerLifetime.Persistent);
}

// Connection strings and no more, here and below: hosts, users and passwords one by one would end in plain configuration
// of whatever this is deployed to. The restriction holds for the references that follow it.
var migrations = builder.AddProject<Projects.Ledger_Cli>(ResourceNames.Migrations)
    .WithArgs("migrate")
    .WithReferenceEnvironment(ReferenceEnvironmentInjectionFlags.ConnectionString)
    .WithReference(database).WaitFor(database);

// Services believe the headers of the proxies that they are told of (Ledger__Http__KnownProxies), and not those of anybody.
var api = builder.AddProject<Projects.Ledger_Api>(ResourceNames.Api)
    .DisableForwardedHeaders()
    .WithReferenceEnvironment(ReferenceEnvironmentInjectionFlags.ConnectionString)
    .WithReference(database).WaitForCompletion(migrations)
    .WithReference(messaging).WaitFor(messaging)
    .WithExternalHttpEndpoints()
    .WithHttpHealthCheck("/health")
    .WithMetricsEndpoint()
    .WithUrlForEndpoint("http", _ => new() { Url = "/scalar", DisplayText = "Scalar" });

var worker = builder.AddProject<Projects.Ledger_Worker>(ResourceNames.Worker)
    .DisableForwardedHeaders()
    .WithReferenceEnvironment(ReferenceEnvironmentInjectionFlags.ConnectionString)
    .WithReference(database).WaitForCompletion(migrations)
    .WithReference(messaging).WaitFor(messaging)
    .WithHttpHealthCheck("/health")
    .WithMetricsEndpoint()
    .WithReplicas(builder.Configuration.GetValue("Worker:Replicas", isMonitored ? 1 : 2));

builder.AddProject<Projects.Ledger_Cli>(ResourceNames.Load)
    .WithArgs("load", "--rate", "100", "--duration", "30s", "--url", api.GetEndpoint("http"))
    .WaitFor(api)
    .WithExplicitStart()
    .ExcludeFromManifest();

if (isMonitored)
    builder.AddMonitoring(api, worker, messaging);

builder.Build().Run();
