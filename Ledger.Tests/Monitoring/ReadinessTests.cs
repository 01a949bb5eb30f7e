using System.Net;
using Ledger.ServiceDefaults;
using Ledger.Tests.Harness;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;

namespace Ledger.Tests.Monitoring;

/// <summary>The log of failed readiness checks.</summary>
public sealed class ReadinessTests
{
    [Fact]
    public async Task Repeated_failures_of_readiness_are_logged_once_with_the_failed_checks()
    {
        var log = new RecordedLog();
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders().AddProvider(log.Provider);
        var broken = new Switch();
        builder.Services.AddSingleton(broken).AddHealthChecks().AddReadiness<Switch>("first").AddReadiness<Passing>("second").AddReadiness<Switch>("third");
        await using var app = builder.Build();
        app.MapServiceHealth();
        await app.StartAsync(TestContext.Current.CancellationToken);
        using var client = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };

        // While a service starts it is not ready, which is no news.
        broken.IsOff = true;
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.GetAsync("/health", TestContext.Current.CancellationToken)).StatusCode);
        Assert.DoesNotContain(log.Lines, line => line.StartsWith("Not ready", StringComparison.Ordinal));
        broken.IsOff = false;
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/health", TestContext.Current.CancellationToken)).StatusCode);
        broken.IsOff = true;

        foreach (var path in (string[])["/health", "/ready", "/health"])
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.GetAsync(path, TestContext.Current.CancellationToken)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/alive", TestContext.Current.CancellationToken)).StatusCode);

        Assert.Equal("Not ready, checks failed: first, third", Assert.Single(log.Lines, line => line.StartsWith("Not ready", StringComparison.Ordinal)));
    }

    private sealed class Switch : IHealthCheck
    {
        public bool IsOff { get; set; }

        public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
            Task.FromResult(IsOff ? HealthCheckResult.Unhealthy() : HealthCheckResult.Healthy());
    }

    private sealed class Passing : IHealthCheck
    {
        public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
            Task.FromResult(HealthCheckResult.Healthy());
    }
}
