using System.Net.Http.Headers;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Ledger.Tests.Cli;

/// <summary>A request that passed a <see cref="TamperingProxy"/>, and the API's response.</summary>
internal sealed record Exchanged(string Method, string Path, string? Authorization, int Status, string Body);

/// <summary>A proxy that answers for an API, with errors that a test plants.</summary>
internal sealed class TamperingProxy : IAsyncDisposable
{
    private static readonly string[] s_requestHeaders = ["Authorization", "Idempotency-Key", "Prefer"];
    private static readonly string[] s_responseHeaders = ["Idempotency-Replayed"];

    private readonly HttpClient _http;
    private readonly Func<Exchanged, Task<(int Status, string Body)>> _tamper;
    private readonly WebApplication _app;

    private TamperingProxy(Uri api, Func<Exchanged, Task<(int Status, string Body)>> tamper, WebApplication app)
    {
        _http = new HttpClient { BaseAddress = api };
        _tamper = tamper;
        _app = app;
    }

    public Uri Address => new(_app.Urls.Single());

    /// <param name="tamper">The status and the body that the client gets.</param>
    public static async Task<TamperingProxy> StartAsync(Uri api, Func<Exchanged, Task<(int Status, string Body)>> tamper)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        var app = builder.Build();
        app.Urls.Add("http://127.0.0.1:0");
        var proxy = new TamperingProxy(api, tamper, app);
        app.MapFallback(proxy.PassAsync);
        await app.StartAsync(TestContext.Current.CancellationToken);
        return proxy;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _http.Dispose();
    }

    private async Task PassAsync(HttpContext context)
    {
        var path = context.Request.Path + context.Request.QueryString.ToString();
        using var request = new HttpRequestMessage(new HttpMethod(context.Request.Method), path);
        foreach (var name in s_requestHeaders.Where(context.Request.Headers.ContainsKey))
            request.Headers.TryAddWithoutValidation(name, context.Request.Headers[name].ToString());
        if (context.Request.ContentType is { } type)
            request.Content = new StreamContent(context.Request.Body) { Headers = { ContentType = MediaTypeHeaderValue.Parse(type) } };
        using var response = await _http.SendAsync(request, context.RequestAborted);

        var (status, body) = await _tamper(new Exchanged(
            context.Request.Method, path, request.Headers.Authorization?.ToString(), (int)response.StatusCode, await response.Content.ReadAsStringAsync(context.RequestAborted)));
        context.Response.StatusCode = status;
        context.Response.ContentType = response.Content.Headers.ContentType?.ToString();
        foreach (var name in s_responseHeaders.Where(name => response.Headers.Contains(name)))
            context.Response.Headers[name] = response.Headers.GetValues(name).ToArray();
        await context.Response.WriteAsync(body, context.RequestAborted);
    }
}
