using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Requests;

/// <summary>Malformed requests get a problem with a code and leave no trace in the ledger.</summary>
public sealed class MalformedRequestTests(LedgerSystem system)
{
    [Theory]
    // Not JSON, or not an object.
    [InlineData("", "malformed_json")]
    [InlineData("   ", "malformed_json")]
    [InlineData("{", "malformed_json")]
    [InlineData("[]", null)]
    [InlineData("null", "malformed_json")]
    [InlineData("1", null)]
    [InlineData("\"x\"", null)]
    [InlineData("amount=1&currency=USD", "malformed_json")]
    [InlineData("<money/>", "malformed_json")]
    [InlineData("""{"currency":"USD","amount":"1.00"}}""", "malformed_json")]
    [InlineData("""{"currency":"USD","amount":"1.00",}""", "malformed_json")]
    [InlineData("""{"currency":"USD","amount":"1.00" /* comment */}""", "malformed_json")]
    [InlineData("""{'currency':'USD','amount':'1.00'}""", "malformed_json")]
    [InlineData("{\"currency\":\"USD\",\"amount\":\"1.00\",\"reference\":\"a\u0001b\"}", null)]
    [InlineData("{\"currency\":\"USD\",\"amount\":\"1.00\",\"reference\":\"\\ud800\"}", null)]
    // Missing, unknown and repeated fields, and fields of the wrong type.
    [InlineData("{}", "validation_failed")]
    [InlineData("""{"currency":"USD"}""", "validation_failed")]
    [InlineData("""{"amount":"1.00"}""", "validation_failed")]
    [InlineData("""{"currency":null,"amount":null}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":1.00}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":true}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":{"value":"1.00"}}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":["1.00"]}""", "validation_failed")]
    [InlineData("""{"currency":840,"amount":"1.00"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1.00","reference":5}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1.00","fee":"0.10"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1.00","Amount":"9.00"}""", null)]
    [InlineData("""{"currency":"USD","amount":"1.00","amount":"9.00"}""", null)]
    [InlineData("""{"currency":"USD","amount":"1.00","metadata":[]}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1.00","metadata":"x"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1.00","metadata":{"a":1}}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1.00","metadata":{"a":null}}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1.00","metadata":{"a":{"b":"c"}}}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1.00","metadata":{"":"x"}}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1.00","metadata":{"a":"1","a":"2"}}""", null)]
    // Control characters.
    [InlineData("""{"currency":"USD","amount":"1.00","reference":"a\u0000b"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1.00","reference":"a\nb"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1.00","metadata":{"a":"\u0000"}}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1.00","metadata":{"\u0000":"a"}}""", "validation_failed")]
    // Amounts.
    [InlineData("""{"currency":"USD","amount":""}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"0"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"0.00"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"-1.00"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"+1.00"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1e2"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1,000.00"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":" 1.00"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"NaN"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1\u0000"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"10000000000000000.00"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"99999999999999999999999999999999999999999999"}""", "validation_failed")]
    [InlineData("""{"currency":"USD","amount":"1.001"}""", "amount_precision")]
    [InlineData("""{"currency":"JPY","amount":"1.0"}""", "amount_precision")]
    public async Task Invalid_command_is_refused_without_a_trace(string body, string? code)
    {
        var user = await system.NewUserAsync();

        foreach (var path in (string[])["deposits", "withdrawals"])
        {
            var answer = await user.PostAsync(path, body, key: "k");
            Assert.True(answer.Code is "malformed_json" or "validation_failed" or "amount_precision", answer.Text);
            answer.MustBe(400, code ?? answer.Code);
        }

        Assert.Equal(0, await Books.RowsOfAsync(await system.DatabaseAsync(), user.Id));
    }

    [Theory]
    [InlineData("currency", "usd")]
    [InlineData("currency", "XXX")]
    [InlineData("currency", "US\\u0000D")]
    [InlineData("currency", "'; drop table ledger.entries; --")]
    public async Task Unknown_currency_is_refused_without_a_trace(string field, string value)
    {
        var user = await system.NewUserAsync();
        (await user.PostAsync("deposits", $$"""{"amount":"1.00","{{field}}":"{{value}}"}""")).MustBe(422, "currency_unknown");
        Assert.Equal(0, await Books.RowsOfAsync(await system.DatabaseAsync(), user.Id));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("a\0@example.com")]
    [InlineData("{caller's id}")]
    [InlineData("{caller's address}")]
    public async Task Transfer_without_another_user_as_recipient_is_refused(string? to)
    {
        var user = await system.NewUserAsync();
        to = to switch { "{caller's id}" => user.Id.ToString(), "{caller's address}" => user.Email.ToUpperInvariant(), _ => to };

        var answer = (await user.PostAsync("transfers", new { to, currency = "USD", amount = "1.00" })).MustBe(400, "validation_failed");

        Assert.Equal("to", Assert.Single(answer.Json.GetProperty("errors").EnumerateObject()).Name);
        Assert.Equal(0, await Books.RowsOfAsync(await system.DatabaseAsync(), user.Id));
    }

    [Fact]
    public async Task All_invalid_fields_are_named_at_once()
    {
        var user = await system.NewUserAsync();
        var answer = (await user.PostAsync("transfers", new { reference = new string('r', 256), metadata = Enumerable.Range(0, 51).ToDictionary(i => $"k{i}", _ => "v") })).MustBe(400, "validation_failed");
        Assert.Equal(["amount", "currency", "metadata", "reference", "to"], answer.Json.GetProperty("errors").EnumerateObject().Select(error => error.Name).Order());
    }

    [Fact]
    public async Task Reference_and_metadata_are_accepted_up_to_their_limits()
    {
        var user = await system.NewUserAsync();
        (await user.DepositAsync("1.00", reference: new string('r', 255))).MustBe(201);
        (await user.DepositAsync("1.00", metadata: Enumerable.Range(0, 50).ToDictionary(i => $"{i}".PadRight(40, 'k'), _ => new string('v', 500)))).MustBe(201);

        (await user.DepositAsync("1.00", reference: new string('r', 256))).MustBe(400, "validation_failed");
        (await user.DepositAsync("1.00", metadata: new Dictionary<string, string> { [new string('k', 41)] = "v" })).MustBe(400, "validation_failed");
        (await user.DepositAsync("1.00", metadata: new Dictionary<string, string> { ["k"] = new string('v', 501) })).MustBe(400, "validation_failed");
    }

    [Theory]
    [InlineData("x")]
    [InlineData("€")]
    [InlineData("\\\"")]
    [InlineData("\\u20ac")]
    public async Task Largest_command_is_accepted_in_any_encoding_and_one_more_character_is_refused(string character)
    {
        var user = await system.NewUserAsync();

        var stored = (await user.PostAsync("deposits", Body(500), key: "largest")).MustBe(201);

        Assert.Equal(50, stored.Json.GetProperty("metadata").EnumerateObject().Count(entry => entry.Name.Length == 40 && entry.Value.GetString()!.Length == 500));
        Assert.Equal(stored.TransactionId, (await user.PostAsync("deposits", Body(500), key: "largest")).MustBe(201).TransactionId);
        var refused = (await user.PostAsync("deposits", Body(501), key: "larger")).MustBe(400, "validation_failed");
        Assert.Equal("metadata", Assert.Single(refused.Json.GetProperty("errors").EnumerateObject()).Name);
        Assert.Equal(1m, await user.BalanceAsync());

        string Body(int ofLast)
        {
            string Text(int length) => string.Concat(Enumerable.Repeat(character, length));
            var entries = Enumerable.Range(0, 50).Select(i => $"\"{i:00}{Text(38)}\":\"{Text(i == 49 ? ofLast : 500)}\"");
            return $$"""{"currency":"USD","amount":"1.00","metadata":{ {{string.Join(',', entries)}} },"reference":"{{Text(255)}}"}""";
        }
    }

    [Fact]
    public async Task Deeply_nested_JSON_is_refused()
    {
        var user = await system.NewUserAsync();
        var deep = string.Concat(Enumerable.Repeat("""{"a":""", 5_000)) + "1" + new string('}', 5_000);
        var answer = await user.PostAsync("deposits", $$"""{"currency":"USD","amount":"1.00","metadata":{{deep}}}""");
        Assert.Equal(400, answer.Status);
        Assert.True(answer.Code is "malformed_json" or "validation_failed", answer.Text);
        (await user.PostAsync("deposits", new string('[', 10_000))).MustBe(400, (await user.PostAsync("deposits", new string('[', 10_000))).Code);
        Assert.Equal(0, await Books.RowsOfAsync(await system.DatabaseAsync(), user.Id));
    }

    [Theory]
    [InlineData(new byte[] { 0xff })]
    [InlineData(new byte[] { 0xc0, 0xaf })]
    [InlineData(new byte[] { 0xed, 0xa0, 0x80 })]
    [InlineData(new byte[] { 0xe2, 0x82 })]
    public async Task Bytes_that_are_not_UTF_8_are_refused(byte[] bytes)
    {
        var user = await system.NewUserAsync();
        byte[] body = [.. """{"currency":"USD","amount":"1.00","reference":" """u8, .. bytes, .. "\"}"u8];

        var answer = await user.PostAsync("deposits", Json(body));

        Assert.True(answer.Code is "malformed_json" or "validation_failed", answer.Text);
        answer.MustBe(400, answer.Code);
        Assert.Equal(0, await Books.RowsOfAsync(await system.DatabaseAsync(), user.Id));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("text/plain")]
    [InlineData("application/x-www-form-urlencoded")]
    [InlineData("application/xml")]
    [InlineData("application/json; charset=no-such-charset")]
    [InlineData("application/json; charset=utf-7")]
    [InlineData("application/json; charset=\"no-such-charset\"")]
    [InlineData("application/json; charset=\"utf 8\"")]
    [InlineData("application/json; charset=\"utf-8")]
    public async Task Body_of_another_content_type_is_refused(string? contentType)
    {
        var user = await system.NewUserAsync();
        var content = Json("""{"currency":"USD","amount":"1.00"}"""u8.ToArray());
        content.Headers.Remove("Content-Type");
        if (contentType is not null)
            content.Headers.TryAddWithoutValidation("Content-Type", contentType);

        (await user.PostAsync("deposits", content)).MustBe(415, "unsupported_media_type");

        Assert.Equal(0, await Books.RowsOfAsync(await system.DatabaseAsync(), user.Id));
    }

    /// <summary>RFC 9110, section 5.6.6: a quoted parameter value means the same.</summary>
    [Theory]
    [InlineData("application/json; charset=utf-8")]
    [InlineData("application/json;charset=\"utf-8\"")]
    [InlineData("application/json; charset=\"UTF-8\"")]
    [InlineData("Application/JSON; profile=\"x\"; charset=\"ut\\f-8\"")]
    public async Task Every_spelling_of_the_UTF_8_charset_is_accepted(string contentType)
    {
        var user = await system.NewUserAsync();
        var content = Json("""{"currency":"USD","amount":"1.00"}"""u8.ToArray());
        content.Headers.Remove("Content-Type");
        content.Headers.TryAddWithoutValidation("Content-Type", contentType);

        (await user.PostAsync("deposits", content)).MustBe(201);
    }

    [Theory]
    [InlineData("GARBAGE\r\n\r\n")]
    [InlineData("POST /api/v1/deposits HTTP/1.1\r\n\r\n")]
    [InlineData("POST /api/v1/deposits HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n")]
    [InlineData("POST /api/v1/deposits HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n")]
    [InlineData("POST /api/v1/deposits HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: a\0b\r\n\r\n")]
    public async Task Malformed_HTTP_gets_a_4xx(string request)
    {
        var api = await system.ApiAsync();
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        using var client = new TcpClient();
        await client.ConnectAsync(api.Address.Host, api.Address.Port, deadline.Token);
        await using var stream = client.GetStream();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(request), deadline.Token);
        using var reader = new StreamReader(stream, Encoding.Latin1);
        Assert.StartsWith("HTTP/1.1 4", await reader.ReadLineAsync(deadline.Token), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("GET", "deposits", 405, "method_not_allowed")]
    [InlineData("DELETE", "transactions", 405, "method_not_allowed")]
    [InlineData("GET", "nothing", 404, "not_found")]
    [InlineData("GET", "/", 404, "not_found")]
    [InlineData("POST", "/api/v2/deposits", 404, "not_found")]
    public async Task Unknown_path_or_method_is_a_problem(string method, string path, int status, string code)
    {
        var user = await system.NewUserAsync();
        using var request = new HttpRequestMessage(new HttpMethod(method), path.StartsWith('/') ? path : "/api/v1/" + path);
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", user.Token);
        (await user.Api.SendAsync(request)).MustBe(status, code);
    }

    [Theory]
    [InlineData("balances", 401, "unauthenticated")]
    [InlineData("nothing", 404, "not_found")]
    public async Task Client_that_accepts_another_type_still_gets_a_problem(string path, int status, string code)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/" + path);
        request.Headers.Accept.ParseAdd("text/csv");
        (await (await system.NewUserAsync()).Api.SendAsync(request)).MustBe(status, code);
    }

    private static ByteArrayContent Json(byte[] body)
    {
        var content = new ByteArrayContent(body);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return content;
    }
}
