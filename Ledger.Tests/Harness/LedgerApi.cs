using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Ledger.Tests.Harness;

/// <summary>One API process, as anybody may call it. It never retries: a test sees what was answered.</summary>
public sealed class LedgerApi(Uri address, IDisposable? process = null) : IDisposable
{
    /// <summary>What every test user has.</summary>
    public const string Password = "correct horse battery";

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(90);
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull };

    private readonly HttpClient _http = new(new SocketsHttpHandler { UseCookies = false, AllowAutoRedirect = false, ConnectTimeout = TimeSpan.FromSeconds(5) })
    {
        BaseAddress = address,
        Timeout = Deadline,
    };

    /// <summary>Where it listens.</summary>
    public Uri Address => address;

    /// <summary>A request as it stands.</summary>
    public async Task<Answer> SendAsync(HttpRequestMessage request)
    {
        using var response = await _http.SendAsync(request);
        return new Answer(
            (int)response.StatusCode, response.Headers, response.Content.Headers.ContentType?.MediaType, await response.Content.ReadAsStringAsync());
    }

    /// <summary>GET of a path below <c>/api/v1</c>, or from the root with a leading slash.</summary>
    public async Task<Answer> GetAsync(string path, string? token = null)
    {
        using var request = Request(HttpMethod.Get, path, token);
        return await SendAsync(request);
    }

    /// <summary>A request of any method; with a body, a raw string that is sent as JSON.</summary>
    public async Task<Answer> SendAsync(HttpMethod method, string path, string? token = null, string? json = null)
    {
        using var request = Request(method, path, token);
        if (json is not null)
            request.Content = new StringContent(json, Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
        return await SendAsync(request);
    }

    /// <summary>POST of a body: an object, or a string that is sent as it is.</summary>
    public async Task<Answer> PostAsync(string path, object body, string? token = null, params (string Name, string Value)[] headers)
    {
        using var request = Request(HttpMethod.Post, path, token);
        request.Content = body as HttpContent
            ?? new StringContent(body as string ?? JsonSerializer.Serialize(body, Json), Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
        foreach (var (name, value) in headers)
            Assert.True(request.Headers.TryAddWithoutValidation(name, value));
        return await SendAsync(request);
    }

    /// <summary>Registers somebody new and logs in.</summary>
    public async Task<LedgerUser> NewUserAsync()
    {
        var email = $"{Guid.NewGuid():N}@example.com";
        var registered = (await PostAsync("identity/register", new { email, password = Password })).MustBe(201);
        var login = (await PostAsync("identity/login", new { email, password = Password })).MustBe(200);
        return new LedgerUser(this, registered.Json.GetProperty("userId").GetGuid(), email, login["accessToken"]!);
    }

    public void Dispose()
    {
        _http.Dispose();
        process?.Dispose();
    }

    private static HttpRequestMessage Request(HttpMethod method, string path, string? token)
    {
        var request = new HttpRequestMessage(method, path.StartsWith('/') ? path : "/api/v1/" + path);
        if (token is not null)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return request;
    }
}
