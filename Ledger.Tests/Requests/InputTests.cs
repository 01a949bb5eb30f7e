using System.Net.Sockets;
using System.Text;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Requests;

/// <summary>What is meant to be more than text stays text; what is too much or too slow is cut off.</summary>
public sealed class InputTests(LedgerSystem system)
{
    public static TheoryData<string> Injections =>
    [
        "'; drop table ledger.accounts; --", "' or '1'='1", "\") union select password_hash from identity.users --", "$1", "%s%n", "../../../etc/passwd",
        "<script>alert(1)</script>", "{{7*7}}", "${jndi:ldap://example.com/a}", "x\r\nSet-Cookie: a=b", "\u202Eevil", "\uFEFF", "NaN", "true", "[]",
    ];

    [Theory]
    [MemberData(nameof(Injections))]
    public async Task No_string_in_any_field_is_more_than_a_string(string text)
    {
        var user = await system.NewUserAsync("100.00");
        var (api, isText, name) = (user.Api, !text.Any(char.IsControl), text[..Math.Min(text.Length, 40)]);

        // Wherever free text is allowed, it comes back as it was.
        var stored = await user.DepositAsync("1.00", reference: text, metadata: new Dictionary<string, string> { [name] = text }, key: isText && text.All(char.IsAscii) ? text : null);
        if (isText)
        {
            stored.MustBe(201);
            var read = (await user.TransactionAsync(stored.TransactionId)).MustBe(200);
            Assert.Equal((text, text), (read["reference"], read.Json.GetProperty("metadata").GetProperty(name).GetString()));
        }
        else
        {
            stored.MustBe(400, "validation_failed");
        }

        // Everywhere else, it is refused for what it is.
        Answer[] answers =
        [
            await user.DepositAsync(text),
            await user.DepositAsync("1.00", text),
            await user.WithdrawAsync(text, text),
            await user.TransferAsync(text, "1.00"),
            await user.TransferAsync("nobody@example.com", text, text),
            await user.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = text }),
            await user.PostAsync("identity/logout", new { refreshToken = text }),
            await user.PostAsync("identity/password", new { currentPassword = text, newPassword = text }),
            await api.PostAsync("identity/register", new { email = text, password = text }),
            await api.PostAsync("identity/login", new { email = text, password = text }),
            await api.PostAsync("identity/refresh", new { refreshToken = text }),
            await user.GetAsync($"balances/{Uri.EscapeDataString(text)}"),
            await user.GetAsync($"transactions?currency={Uri.EscapeDataString(text)}&kind={Uri.EscapeDataString(text)}&cursor={Uri.EscapeDataString(text)}"),
            await user.GetAsync($"transactions/{Uri.EscapeDataString(text)}"),
        ];
        Assert.All(answers, answer => Assert.True(answer.Status is >= 200 and < 500, $"{answer.Status}: {answer.Text}"));
        Assert.Equal(isText ? 101m : 100m, await user.BalanceAsync());
    }

    [Theory]
    [MemberData(nameof(Injections))]
    public async Task Nor_in_any_field_of_administration(string text)
    {
        var @operator = await system.NewOperatorAsync();
        var user = await system.NewUserAsync();
        var escaped = Uri.EscapeDataString(text);
        Answer[] answers =
        [
            await @operator.GetAsync($"admin/users?query={escaped}&cursor={escaped}"),
            await @operator.GetAsync($"admin/users?query={escaped}"),
            await @operator.GetAsync($"admin/audit?subject={escaped}&action={escaped}"),
            await @operator.GetAsync($"admin/audit?actor={escaped}&cursor={escaped}&limit={escaped}"),
            await @operator.PostAsync("admin/currencies", new { code = text, name = text, exponent = 2 }),
            await @operator.PostAsync($"admin/currencies/{escaped}/disable", ""),
            await @operator.PostAsync($"admin/users/{user.Id}/unfreeze", new { reason = text }),
        ];
        Assert.All(answers, answer => Assert.True(answer.Status is >= 200 and < 500, $"{answer.Status}: {answer.Text}"));
    }

    [Fact]
    public async Task A_body_that_is_too_large_is_413_and_headers_that_are_431()
    {
        var user = await system.NewUserAsync();
        (await user.DepositAsync("1.00", reference: new string('x', 300_000))).MustBe(413, "body_too_large");

        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/currencies");
        request.Headers.TryAddWithoutValidation("X-Padding", new string('x', 20_000));
        Assert.Equal(431, (await user.Api.SendAsync(request)).Status);
    }

    [Fact]
    public async Task Whoever_sends_a_request_drop_by_drop_is_cut_off_and_holds_up_nobody()
    {
        var user = await system.NewUserAsync();
        using var slow = new TcpClient();
        await slow.ConnectAsync(user.Api.Address.Host, user.Api.Address.Port);
        var stream = slow.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"POST /api/v1/deposits HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {user.Token}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"));

        (await user.DepositAsync("1.00")).MustBe(201);

        // Kestrel's minimum of 240 bytes a second, after its grace of five seconds: an answer, or nothing but the end.
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

    [Fact]
    public async Task Answers_carry_the_headers_that_browsers_need_to_behave()
    {
        var user = await system.NewUserAsync();
        foreach (var answer in new[] { await user.GetAsync("balances"), await user.GetAsync("transactions/none"), await user.PostAsync("deposits", "{"), await user.Api.GetAsync("identity/me") })
        {
            Assert.Equal("nosniff", answer.Headers.GetValues("X-Content-Type-Options").Single());
            Assert.True(answer.Headers.CacheControl?.NoStore, $"{answer.Status} may be stored.");
            Assert.False(answer.Headers.Contains("Server"));
            Assert.False(answer.Headers.Contains("Strict-Transport-Security"));
            Assert.False(answer.Headers.Contains("Access-Control-Allow-Origin"));
        }
    }
}
