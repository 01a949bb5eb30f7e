using System.Diagnostics;
using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Logs;
using OpenTelemetry.Trace;

namespace Ledger.Tests.Monitoring;

/// <summary>
/// What a service records, with Aspire's packages of which each would listen by itself. Nothing is started and no server asked.
/// </summary>
public sealed class TelemetryTests
{
    [Fact]
    public async Task Without_an_OTLP_endpoint_nothing_is_traced_and_no_log_is_copied()
    {
        await using var service = Build(endpoint: "");

        Assert.Null(service.Services.GetService<TracerProvider>());
        Assert.Empty(service.Services.GetServices<ILoggerProvider>().OfType<OpenTelemetryLoggerProvider>());
    }

    [Fact]
    public async Task With_one_the_broker_s_client_is_not_traced_beside_the_ledger_s_own_spans()
    {
        await using var service = Build(endpoint: "http://127.0.0.1:1");

        Assert.NotNull(service.Services.GetService<TracerProvider>());
        Assert.NotEmpty(service.Services.GetServices<ILoggerProvider>().OfType<OpenTelemetryLoggerProvider>());
        foreach (var (source, isTraced) in ((string, bool)[])
            [("Ledger", true), ("Npgsql", true), ("RabbitMQ.Client.Publisher", false), ("RabbitMQ.Client.Subscriber", false)])
        {
            using var activities = new ActivitySource(source);
            Assert.True(activities.HasListeners() == isTraced, source);
        }
    }

    private static WebApplication Build(string endpoint)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Configuration.AddInMemoryCollection(
        [
            new($"ConnectionStrings:{ResourceNames.Database}", "Host=127.0.0.1;Port=1"),
            new($"ConnectionStrings:{ResourceNames.Messaging}", "amqp://127.0.0.1:1"),
            new("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ]);
        builder.AddServiceDefaults();
        builder.AddPostgres<LedgerDbContext>();
        builder.AddRabbitMQ();
        return builder.Build();
    }
}
