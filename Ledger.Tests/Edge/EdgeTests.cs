using Ledger.Tests.Harness;

namespace Ledger.Tests.Edge;

/// <summary>Proxies, the path prefix and headers, each at an API process of its own.</summary>
public sealed class EdgeTests(LedgerSystem system)
{
    [Fact]
    public async Task Path_prefix_forwarded_address_and_allowed_origins_apply_behind_a_proxy()
    {
        using var api = await system.StartApiAsync(
            ("Ledger__Http__PathPrefix", "/ledger"), ("Ledger__Http__KnownProxies", "127.0.0.1"), ("Ledger__Http__CorsOrigins", "https://wallet.example.com"));
        var user = (await system.NewUserAsync()).At(api);

        var deposit = (await api.PostAsync("/ledger/api/v1/deposits", new { currency = "USD", amount = "1.00" }, user.Token)).MustBe(201);
        Assert.StartsWith("/ledger/api/v1/transactions/", deposit.Location, StringComparison.Ordinal);
        (await api.GetAsync(deposit.Location!, user.Token)).MustBe(200);
        (await api.GetAsync("/health")).MustBe(200);

        (await api.PostAsync("identity/login", new { email = user.Email, password = "wrong password" }, null, ("X-Forwarded-For", "203.0.113.7"))).MustBe(401);
        var direct = await system.ApiAsync();
        (await direct.PostAsync("identity/login", new { email = user.Email, password = "wrong password" }, null, ("X-Forwarded-For", "203.0.113.8"))).MustBe(401);
        Assert.Equal(
            ["203.0.113.7", "127.0.0.1"],
            await Books.TextsAsync(
                await system.DatabaseAsync(), "select address from identity.audit where subject = $1 and action = 'sign_in_failed' order by id", user.Id.ToString()));

        Assert.Equal("https://wallet.example.com", (await PreflightAsync("https://wallet.example.com")).Headers.GetValues("Access-Control-Allow-Origin").Single());
        Assert.False((await PreflightAsync("https://elsewhere.example.com")).Headers.Contains("Access-Control-Allow-Origin"));

        async Task<Answer> PreflightAsync(string origin)
        {
            using var request = new HttpRequestMessage(HttpMethod.Options, "/ledger/api/v1/deposits");
            request.Headers.Add("Origin", origin);
            request.Headers.Add("Access-Control-Request-Method", "POST");
            return await api.SendAsync(request);
        }
    }

    [Fact]
    public async Task Unknown_client_cannot_set_its_remote_address_by_a_header()
    {
        using var api = await system.StartApiAsync(
            ("ASPNETCORE_FORWARDEDHEADERS_ENABLED", "true"),
            ("Ledger__RateLimit__Enabled", "true"), ("Ledger__RateLimit__AddressPerMinute", "1"), ("Ledger__RateLimit__AddressBurst", "4"));
        var user = await system.NewUserAsync();

        var logins = await Task.WhenAll(Enumerable.Range(1, 10).Select(last => api.PostAsync(
            "identity/login", new { email = user.Email, password = "wrong password" }, null, ("X-Forwarded-For", $"203.0.113.{last}"))));

        Assert.InRange(logins.Count(answer => answer.Status == 401), 4, 6);
        logins.First(answer => answer.Status != 401).MustBe(429, "rate_limited");
        Assert.All(
            await Books.TextsAsync(
                await system.DatabaseAsync(), "select address from identity.audit where subject = $1 and action = 'sign_in_failed'", user.Id.ToString()),
            address => Assert.Equal("127.0.0.1", address));
    }

    [Fact]
    public async Task Every_path_in_an_answer_has_the_prefix()
    {
        const string Base = "/ledger/api/v1/";
        using var api = await system.StartApiAsync(("Ledger__Http__PathPrefix", "/ledger"));
        var user = (await system.NewUserAsync()).At(api);
        var @operator = (await system.NewOperatorAsync()).At(api);
        var deposit = new { currency = "USD", amount = "1.00" };

        // Problems of a handler, the JSON reader, authentication, authorization and routing, and a rejection by the worker.
        InstanceMustBe(Base + "deposits", (await user.PostAsync(Base + "deposits", new { })).MustBe(400, "validation_failed"));
        InstanceMustBe(Base + "deposits", (await user.PostAsync(Base + "deposits", "{")).MustBe(400, "malformed_json"));
        InstanceMustBe(Base + "balances", (await api.GetAsync(Base + "balances")).MustBe(401, "unauthenticated"));
        InstanceMustBe(Base + "admin/users", (await user.GetAsync(Base + "admin/users")).MustBe(403, "forbidden"));
        InstanceMustBe("/ledger/no%20where", (await user.GetAsync("/ledger/no%20where")).MustBe(404, "not_found"));
        InstanceMustBe(Base + "withdrawals", (await user.PostAsync(Base + "withdrawals", deposit)).MustBe(422, "insufficient_funds"));
        InstanceMustBe("/api/v1/balances", (await api.GetAsync("/api/v1/balances")).MustBe(401, "unauthenticated"));

        (LedgerUser Reader, Answer Made)[] addresses =
        [
            (user, (await user.PostAsync(Base + "deposits", deposit)).MustBe(201)),
            // 202, or 201 if the worker is faster than the answer.
            (user, await user.PostAsync(Base + "deposits", deposit, prefer: "respond-async")),
            (@operator, (await @operator.PostAsync(Base + "deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Id })).MustBe(201)),
            (@operator, (await @operator.PostAsync(Base + "admin/currencies", new { code = $"P{Guid.NewGuid():N}"[..12].ToUpperInvariant(), name = "Of a test", exponent = 2 })).MustBe(201)),
        ];
        foreach (var (reader, made) in addresses)
        {
            Assert.StartsWith(Base, made.Location, StringComparison.Ordinal);
            (await reader.GetAsync(made.Location!)).MustBe(200);
        }
        var registered = await api.PostAsync(Base + "identity/register", new { email = $"{Guid.NewGuid():N}@example.com", password = LedgerApi.Password });
        Assert.Equal(Base + "identity/me", registered.MustBe(201).Location);

        static void InstanceMustBe(string path, Answer problem) => Assert.Equal(path, problem["instance"]);
    }

    [Fact]
    public async Task Answers_have_security_headers()
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
