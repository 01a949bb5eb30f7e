using System.Security.Cryptography;
using System.Text;
using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Ledger.ServiceDefaults;
using Ledger.Tests.Harness;
using Microsoft.Extensions.DependencyInjection;

namespace Ledger.Tests.Aspire;

/// <summary>
/// The whole system as the AppHost starts it: PostgreSQL and RabbitMQ in containers that end with the run and keep nothing,
/// the migrations, the API and the workers. One for the run; tests keep apart by fresh users.
/// </summary>
public sealed class AspireSystem : IAsyncLifetime
{
    private static readonly TimeSpan BuildTimeout = TimeSpan.FromMinutes(1);

    // The first run on a machine pulls two images.
    private static readonly TimeSpan StartTimeout = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan HealthTimeout = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan StopTimeout = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan LogsTimeout = TimeSpan.FromSeconds(10);

    private DistributedApplication? _app;

    /// <summary>Where the API listens.</summary>
    public Uri ApiAddress => App.GetEndpoint(ResourceNames.Api, "http");

    /// <summary>Where API and worker serve <c>/metrics</c>. Replicas stand behind one address and answer in turn.</summary>
    public IReadOnlyList<Uri> MetricsAddresses =>
        [.. new[] { ResourceNames.Api, ResourceNames.Worker }.Select(service => new Uri(App.GetEndpoint(service, "metrics"), "/metrics"))];

    /// <summary>The connection string of the ledger's database, as the server's owner.</summary>
    public string PostgresConnectionString { get; private set; } = "";

    /// <summary>The AMQP URI of RabbitMQ.</summary>
    public string RabbitMqConnectionString { get; private set; } = "";

    private DistributedApplication App => _app ?? throw new InvalidOperationException("The system is not started.");

    /// <summary>
    /// A client of the API. The testing package's own client retries by itself, which would hide from a test what the API answered.
    /// </summary>
    public HttpClient CreateApiClient() => new() { BaseAddress = ApiAddress };

    /// <inheritdoc />
    public async ValueTask InitializeAsync()
    {
        var builder = await DistributedApplicationTestingBuilder
            .CreateAsync<Projects.Ledger_AppHost>(
            [
                "UseVolumes=false",
                $"Parameters:{ResourceNames.PostgresPassword}={NewPassword()}",
                $"Parameters:{ResourceNames.MessagingPassword}={NewPassword()}",
            ])
            .WaitAsync(BuildTimeout);
        builder.CreateResourceBuilder<ProjectResource>(ResourceNames.Api)
            .WithEnvironment("Ledger__Identity__PasswordIterations", LedgerSystem.CheapPasswords);
        _app = await builder.BuildAsync().WaitAsync(BuildTimeout);

        try
        {
            await _app.StartAsync().WaitAsync(StartTimeout);
            await BecomesHealthyAsync(ResourceNames.Api);
            await BecomesHealthyAsync(ResourceNames.Worker);
        }
        catch (Exception failure)
        {
            // xUnit does not dispose a fixture that did not come up.
            var logs = await ReadLogsAsync();
            await DisposeAsync();
            throw new InvalidOperationException($"The system did not start: {failure.Message}{logs}", failure);
        }

        PostgresConnectionString = await ConnectionStringAsync(ResourceNames.Database);
        RabbitMqConnectionString = await ConnectionStringAsync(ResourceNames.Messaging);
    }

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        if (_app is null)
            return;

        await _app.DisposeAsync().AsTask().WaitAsync(StopTimeout);
        _app = null;
    }

    private async Task BecomesHealthyAsync(string resource)
    {
        using var deadline = new CancellationTokenSource(HealthTimeout);
        await App.ResourceNotifications.WaitForResourceHealthyAsync(resource, WaitBehavior.StopOnResourceUnavailable, deadline.Token);
    }

    private async Task<string> ConnectionStringAsync(string resource)
    {
        using var deadline = new CancellationTokenSource(BuildTimeout);
        return await App.GetConnectionStringAsync(resource, deadline.Token)
            ?? throw new InvalidOperationException($"{resource} has no connection string.");
    }

    /// <summary>What the processes and containers wrote, for the message of a failed start.</summary>
    private async Task<string> ReadLogsAsync()
    {
        var text = new StringBuilder();
        var logs = App.Services.GetRequiredService<ResourceLoggerService>();
        foreach (var resource in App.Services.GetRequiredService<DistributedApplicationModel>().Resources)
        {
            if (resource is not (ProjectResource or ContainerResource))
                continue;

            text.AppendLine().AppendLine().Append("--- ").AppendLine(resource.Name);
            using var deadline = new CancellationTokenSource(LogsTimeout);
            try
            {
                await foreach (var lines in logs.GetAllAsync(resource).WithCancellation(deadline.Token))
                    foreach (var line in lines)
                        text.AppendLine(line.Content);
            }
            catch (OperationCanceledException)
            {
                text.AppendLine("(the log did not end in time)");
            }
        }
        return text.ToString();
    }

    private static string NewPassword() => Convert.ToHexString(RandomNumberGenerator.GetBytes(16));
}
