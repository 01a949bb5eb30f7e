using System.Net.Http.Headers;
using Ledger.AppHost;

namespace Ledger.Tests.Identity;

/// <summary>
/// An API that never had PostgreSQL or RabbitMQ, so it can check no credentials. Clients and probes send some all the same.
/// </summary>
public sealed class AnonymousRouteTests : IAsyncLifetime
{
    private readonly Uri _metrics = new($"http://localhost:{Ports.Free()}/metrics");
    private Microsoft.AspNetCore.Builder.WebApplication? _app;
    private HttpClient? _http;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _app = Ledger.Api.Application.Build(
        [
            "--ConnectionStrings:ledgerdb=Host=127.0.0.1;Port=1;Username=nobody", "--ConnectionStrings:messaging=amqp://127.0.0.1:1",
            $"--Ledger:Metrics:Port={_metrics.Port}", $"--urls=http://localhost:{Ports.Free()}", "--Logging:LogLevel:Microsoft.AspNetCore.DataProtection=None",
        ]);
        await _app.StartAsync(Cancelled);
        _http = new HttpClient { BaseAddress = new Uri(_app.Urls.First(url => !url.EndsWith($":{_metrics.Port}", StringComparison.Ordinal))) };
    }

    public async ValueTask DisposeAsync()
    {
        _http?.Dispose();
        if (_app is not null)
            await _app.DisposeAsync();
    }

    [Theory]
    [InlineData("Bearer CfDJ8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    [InlineData("Bearer lk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    public async Task Public_routes_do_not_check_credentials(string credentials)
    {
        // The credentials cannot be checked, so a route with a policy is unavailable.
        Assert.Equal((503, true), await CallAsync("/api/v1/identity/me"));

        foreach (var path in (string[])["/alive", "/live", "/openapi/v1.json", "/scalar/v1"])
            Assert.Equal((200, false), await CallAsync(path));
        foreach (var path in (string[])["/health", "/ready"])
            Assert.Equal((503, false), await CallAsync(path));
        Assert.Equal((404, true), await CallAsync("/nothing"));
        Assert.Equal(200, await StatusAsync(_metrics));

        async Task<(int Status, bool IsProblem)> CallAsync(string path)
        {
            using var answer = await SendAsync(new Uri(_http!.BaseAddress!, path));
            return ((int)answer.StatusCode, answer.Content.Headers.ContentType?.MediaType == "application/problem+json");
        }

        async Task<int> StatusAsync(Uri address)
        {
            using var answer = await SendAsync(address);
            return (int)answer.StatusCode;
        }

        async Task<HttpResponseMessage> SendAsync(Uri address)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, address);
            request.Headers.Authorization = AuthenticationHeaderValue.Parse(credentials);
            return await _http!.SendAsync(request, Cancelled);
        }
    }
}
