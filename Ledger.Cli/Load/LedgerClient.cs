using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Ledger.Cli.Load;

/// <summary>An HTTP client that sends requests to the APIs in turn, without retries.</summary>
internal sealed class LedgerClient : IDisposable
{
    private static readonly MediaTypeHeaderValue s_json = new("application/json");

    private readonly HttpClient _http;
    private readonly string[] _bases;
    private int _turn;

    public LedgerClient(IReadOnlyList<Uri> urls, int connections)
    {
        _bases = [.. urls.Select(url => url.AbsoluteUri.TrimEnd('/') + "/api/v1")];
        _http = new HttpClient(new SocketsHttpHandler
        {
            MaxConnectionsPerServer = connections,
            UseCookies = false,
            UseProxy = false,
            AllowAutoRedirect = false,
            ConnectTimeout = TimeSpan.FromSeconds(5),
            ActivityHeadersPropagator = null,
        })
        {
            // The API answers a command within 10 s, if necessary with 202.
            Timeout = TimeSpan.FromSeconds(20),
        };
    }

    public static byte[] Body<T>(T value, JsonTypeInfo<T> type) => JsonSerializer.SerializeToUtf8Bytes(value, type);

    public async Task<Answer> SendAsync(
        HttpMethod method, string path, string? bearer = null, byte[]? body = null, string? key = null, bool respondAsync = false)
    {
        var turn = (uint)Interlocked.Increment(ref _turn) % (uint)_bases.Length;
        using var request = new HttpRequestMessage(method, _bases[turn] + path);
        if (bearer is not null)
            request.Headers.TryAddWithoutValidation("Authorization", bearer);
        if (key is not null)
            request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        if (respondAsync)
            request.Headers.TryAddWithoutValidation("Prefer", "respond-async");
        if (body is not null)
            request.Content = new ByteArrayContent(body) { Headers = { ContentType = s_json } };
        try
        {
            using var response = await _http.SendAsync(request);
            return new Answer(
                response.StatusCode,
                await response.Content.ReadAsByteArrayAsync(),
                response.Headers.TryGetValues("Idempotency-Replayed", out var replayed) && replayed.Contains("true"));
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return Answer.None((e.InnerException ?? e).Message);
        }
        catch (OperationCanceledException)
        {
            return Answer.None($"no answer within {_http.Timeout.TotalSeconds:0} s");
        }
    }

    public void Dispose() => _http.Dispose();
}

/// <summary>The answer to a request, or the reason why there is none.</summary>
/// <param name="Status">0 if there is no answer.</param>
/// <param name="Replayed">Whether the API replayed a stored answer (<c>Idempotency-Replayed</c>).</param>
/// <param name="Failure">The reason why there is no answer.</param>
internal sealed record Answer(HttpStatusCode Status, byte[] Body, bool Replayed, string? Failure = null)
{
    private ProblemBody? _problem;

    public static Answer None(string failure) => new(0, [], false, failure);

    /// <summary>Whether a part of the system was unavailable, so that the outcome of the request is unknown.</summary>
    public bool IsOutage => Status is 0 or HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout;

    /// <summary>The problem details of the body; empty if it has none.</summary>
    public ProblemBody Problem => _problem ??= (int)Status >= 400 && Read(ContractJson.Default.ProblemBody) is { } problem ? problem : new(null, null, null, null, null);

    /// <summary>The status and the problem code, such as <c>422 insufficient_funds</c>.</summary>
    public string Outcome => Status == 0 ? "no answer" : Problem.Code is { } code ? $"{(int)Status} {code}" : ((int)Status).ToString(System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The deserialized body; null if it is malformed.</summary>
    public T? Read<T>(JsonTypeInfo<T> type) where T : class
    {
        try
        {
            return JsonSerializer.Deserialize(Body, type);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
