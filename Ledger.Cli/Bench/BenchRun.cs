using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Ledger.Cli.Latency;

namespace Ledger.Cli.Bench;

/// <summary>
/// As many transfers as the system takes: each connection sends the next one when the last is answered. Random pairs, the
/// sender authenticated, every answer a 201.
/// </summary>
internal sealed class BenchRun : IDisposable
{
    // Whatever is not answered by then never will be.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly BenchOptions _options;
    private readonly RawConnection[] _connections;
    private readonly string _run = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6));
    private readonly Account[] _accounts;
    private int _taken = -1;
    private int _ready;

    public BenchRun(BenchOptions options)
    {
        _options = options;
        _connections = [.. Enumerable.Range(0, options.Connections).Select(_ => new RawConnection(options.Url))];
        _accounts = new Account[options.Accounts];
    }

    /// <summary>How many accounts can be used.</summary>
    public int Ready => Volatile.Read(ref _ready);

    /// <summary>Registers and logs in every user, and gives each of them more dollars than it can spend.</summary>
    /// <exception cref="IOException">The API does not do that.</exception>
    public async Task PrepareAsync()
    {
        await Task.WhenAll(_connections.Select(async connection =>
        {
            await connection.ConnectAsync();
            int index;
            while ((index = Interlocked.Increment(ref _taken)) < _accounts.Length)
            {
                _accounts[index] = await OpenAccountAsync(connection, index);
                Interlocked.Increment(ref _ready);
            }
        }));
    }

    /// <summary>Sends transfers until the time is over.</summary>
    public async Task<BenchResult> MeasureAsync()
    {
        var requests = new TransferRequests(
            _options.Url, _accounts, _options.IdempotencyKeys ? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)) : null);
        var from = Stopwatch.GetTimestamp() + Ticks(_options.Warmup);
        var until = from + Ticks(_options.Duration);
        using var impatience = new CancellationTokenSource(_options.Warmup + _options.Duration + s_patience);
        using var giveUp = impatience.Token.Register(Dispose);

        var results = await Task.WhenAll(_connections.Select((connection, index) => SendAsync(connection, (ulong)index, requests, from, until)));
        var total = new BenchResult(_options.Duration);
        foreach (var result in results)
            total.Add(result);
        return total;
    }

    public void Dispose()
    {
        foreach (var connection in _connections)
            connection.Dispose();
    }

    private async Task<BenchResult> SendAsync(RawConnection connection, ulong index, TransferRequests requests, long from, long until)
    {
        var result = new BenchResult(_options.Duration);
        var random = new Random();
        var buffer = new byte[requests.MaxLength];
        try
        {
            for (var number = index << 48; ; number++)
            {
                var start = Stopwatch.GetTimestamp();
                if (start >= until)
                    break;
                var sender = random.Next(_accounts.Length);
                var recipient = (sender + random.Next(1, _accounts.Length)) % _accounts.Length;
                var length = requests.Write(buffer, sender, recipient, random.Next(1, 1000), number);

                var response = await connection.ExchangeAsync(buffer.AsMemory(0, length));

                var end = Stopwatch.GetTimestamp();
                if (response.Status != 201)
                    result.AddError($"{response.Status} {connection.BodyOf(response)}");
                else if (end >= from && end < until)
                    result.Latencies.Record(Stopwatch.GetElapsedTime(start, end));
            }
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException or ObjectDisposedException)
        {
            result.AddError(e.Message);
        }
        return result;
    }

    private async Task<Account> OpenAccountAsync(RawConnection connection, int index)
    {
        var credentials = string.Create(CultureInfo.InvariantCulture, $$"""{"email":"bench-{{_run}}-{{index}}@example.com","password":"{{_run}}-{{index}}"}""");
        using var registered = await PostAsync(connection, "/identity/register", null, credentials, 201);
        using var tokens = await PostAsync(connection, "/identity/login", null, credentials, 200);
        var account = new Account(registered.RootElement.GetProperty("userId").GetString()!, tokens.RootElement.GetProperty("accessToken").GetString()!);
        using var deposit = await PostAsync(connection, "/deposits", account.Token, """{"currency":"USD","amount":"1000000.00"}""", 201);
        return account;
    }

    private async Task<JsonDocument> PostAsync(RawConnection connection, string path, string? token, string body, int expected)
    {
        var authorization = token is null ? "" : $"Authorization: Bearer {token}\r\n";
        var request = Encoding.UTF8.GetBytes(
            $"POST /api/v1{path} HTTP/1.1\r\nHost: {_options.Url.Authority}\r\n{authorization}Content-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}");
        var response = await connection.ExchangeAsync(request);
        var answer = connection.BodyOf(response);
        return response.Status == expected ? JsonDocument.Parse(answer) : throw new IOException($"POST {path} was answered {response.Status}: {answer}");
    }

    private static long Ticks(TimeSpan time) => (long)(time.TotalSeconds * Stopwatch.Frequency);
}

/// <summary>What to measure.</summary>
internal sealed record BenchOptions(Uri Url, int Connections, int Accounts, TimeSpan Duration, TimeSpan Warmup, bool IdempotencyKeys);

/// <summary>What was measured.</summary>
internal sealed class BenchResult(TimeSpan duration)
{
    private readonly List<string> _firstErrors = [];

    /// <summary>Of every transfer that was answered 201 while it was measured.</summary>
    public LatencyHistogram Latencies { get; } = new();

    /// <summary>Answers that were no 201 and connections that broke, while warming up too.</summary>
    public long Errors { get; private set; }

    public IReadOnlyList<string> FirstErrors => _firstErrors;

    public double TransfersPerSecond => Latencies.Count / duration.TotalSeconds;

    public void AddError(string description)
    {
        Errors++;
        if (_firstErrors.Count < 5)
            _firstErrors.Add(description);
    }

    public void Add(BenchResult other)
    {
        Latencies.Add(other.Latencies);
        Errors += other.Errors;
        _firstErrors.AddRange(other._firstErrors.Take(5 - _firstErrors.Count));
    }
}
