using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Ledger.Cli.Bench;

/// <summary>
/// A closed loop of transfers: each connection sends its next transfer after the answer to the previous one. Sender and recipient
/// are random, the sender is authenticated, and each answer must be a 201.
/// </summary>
internal sealed class BenchRun : IDisposable
{
    // Waits this long for the last answers.
    private static readonly TimeSpan s_answerTimeout = TimeSpan.FromSeconds(30);

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

    /// <summary>The number of accounts that are registered and funded.</summary>
    public int Ready => Volatile.Read(ref _ready);

    /// <summary>Registers and logs in the users, and deposits more dollars for each than it can spend.</summary>
    /// <exception cref="IOException">The API refuses a request or the connection fails.</exception>
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

    /// <summary>Sends transfers for the time of warm-up and measurement.</summary>
    public async Task<BenchResult> MeasureAsync()
    {
        var requests = new TransferRequests(
            _options.Url, _accounts, _options.IdempotencyKeys ? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)) : null, _options.ServiceKey);
        var from = Stopwatch.GetTimestamp() + Ticks(_options.Warmup);
        var until = from + Ticks(_options.Duration);
        using var timeout = new CancellationTokenSource(_options.Warmup + _options.Duration + s_answerTimeout);
        using var giveUp = timeout.Token.Register(Dispose);

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
