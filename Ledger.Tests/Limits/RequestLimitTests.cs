using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using Ledger.Api.Edge;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Limits;

/// <summary>The limits of one request: the size of its headers and its body, and its time.</summary>
public sealed class RequestLimitTests(LedgerSystem system)
{
    [Fact]
    public async Task Body_of_the_largest_size_is_accepted_and_one_more_byte_is_refused()
    {
        var user = await system.NewUserAsync();
        var deposit = """{"currency":"USD","amount":"1.00"}""";
        var limit = new HttpOptions().MaxBodyBytes;

        (await user.PostAsync("deposits", deposit.PadRight(limit))).MustBe(201);
        (await user.PostAsync("deposits", deposit.PadRight(limit + 1))).MustBe(413, "body_too_large");

        Assert.Equal(1m, await user.BalanceAsync());
    }

    /// <summary>A client whose connection is closed while it sends does not see the answer.</summary>
    [Fact]
    public async Task Sender_of_a_much_too_large_body_gets_the_answer()
    {
        var user = await system.NewUserAsync();
        var body = """{"currency":"USD","amount":"1.00"}""".PadRight(16 * new HttpOptions().MaxBodyBytes);

        for (var i = 0; i < 10; i++)
        {
            (await user.PostAsync("deposits", body)).MustBe(413, "body_too_large");
            (await user.Api.PostAsync("identity/login", body)).MustBe(413, "body_too_large");
        }

        Assert.Equal(0m, await user.BalanceAsync());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Too_large_body_is_refused(bool chunked)
    {
        var user = await system.NewUserAsync();
        byte[] body = [.. """{"currency":"USD","amount":"1.00","reference":" """u8, .. Enumerable.Repeat((byte)'r', 300_000), .. "\"}"u8];

        (await user.PostAsync("deposits", chunked ? new Chunked(body) : Json(body))).MustBe(413, "body_too_large");

        Assert.Equal(0, await Books.RowsOfAsync(await system.DatabaseAsync(), user.Id));
    }

    [Fact]
    public async Task Too_large_headers_are_refused()
    {
        var user = await system.NewUserAsync();
        var answer = await user.DepositAsync("1.00", prefer: new string('x', new HttpOptions().MaxHeaderBytes));
        // Kestrel answers this itself, without problem details.
        Assert.Equal((431, null, ""), (answer.Status, answer.ContentType, answer.Text));
        Assert.Equal(0, await Books.RowsOfAsync(await system.DatabaseAsync(), user.Id));
    }

    [Fact]
    public async Task Too_large_body_is_413_and_too_large_headers_are_431()
    {
        var user = await system.NewUserAsync();
        (await user.DepositAsync("1.00", reference: new string('x', 300_000))).MustBe(413, "body_too_large");

        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/currencies");
        request.Headers.TryAddWithoutValidation("X-Padding", new string('x', 20_000));
        Assert.Equal(431, (await user.Api.SendAsync(request)).Status);
    }

    [Fact]
    public async Task Slow_sender_is_disconnected_and_delays_no_other_request()
    {
        var user = await system.NewUserAsync();
        using var slow = new TcpClient();
        await slow.ConnectAsync(user.Api.Address.Host, user.Api.Address.Port);
        var stream = slow.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"POST /api/v1/deposits HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {user.Token}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"));

        (await user.DepositAsync("1.00")).MustBe(201);

        // Kestrel requires 240 bytes per second after five seconds. It answers 408 or closes the connection.
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var answer = new byte[4096];
        int read;
        try
        {
            read = await stream.ReadAsync(answer, deadline.Token);
        }
        catch (IOException)
        {
            read = 0;
        }
        Assert.True(read == 0 || Encoding.ASCII.GetString(answer, 0, read).StartsWith("HTTP/1.1 408", StringComparison.Ordinal), Encoding.ASCII.GetString(answer, 0, read));
        Assert.Equal(1m, await user.BalanceAsync());
    }

    private static ByteArrayContent Json(byte[] body)
    {
        var content = new ByteArrayContent(body);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return content;
    }

    /// <summary>A body without Content-Length.</summary>
    private sealed class Chunked : HttpContent
    {
        private readonly byte[] _body;

        public Chunked(byte[] body)
        {
            _body = body;
            Headers.ContentType = new MediaTypeHeaderValue("application/json");
        }

        protected override Task SerializeToStreamAsync(Stream stream, System.Net.TransportContext? context) => stream.WriteAsync(_body).AsTask();

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
