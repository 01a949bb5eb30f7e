using System.Diagnostics;
using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Limits;

/// <summary>Limits and options, each at an API of its own beside the others.</summary>
public sealed class LimitTests(LedgerSystem system)
{
    [Fact]
    public async Task Passwords_are_limited_by_address_and_money_by_user()
    {
        using var api = await system.StartApiAsync(
            ("Ledger__RateLimit__Enabled", "true"), ("Ledger__RateLimit__UserPerSecond", "1"), ("Ledger__RateLimit__UserBurst", "5"),
            ("Ledger__RateLimit__AddressPerMinute", "1"), ("Ledger__RateLimit__AddressBurst", "4"));
        var (hasty, calm) = ((await system.NewUserAsync()).At(api), (await system.NewUserAsync()).At(api));

        var deposits = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => hasty.DepositAsync("1.00")));

        Assert.InRange(deposits.Count(answer => answer.Status == 201), 5, 15);
        var refused = deposits.First(answer => answer.Status != 201).MustBe(429, "rate_limited");
        Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        // One user's haste is not another's.
        (await calm.DepositAsync("1.00")).MustBe(201);
        Assert.Equal(deposits.Count(answer => answer.Status == 201), await hasty.At(await system.ApiAsync()).BalanceAsync());

        var logins = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => api.PostAsync("identity/login", new { email = "nobody@example.com", password = "wrong password" })));
        Assert.InRange(logins.Count(answer => answer.Status == 401), 4, 6);
        Assert.InRange(logins.First(answer => answer.Status == 429).MustBe(429, "rate_limited").Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
    }

    [Fact]
    public async Task An_access_token_ends_with_its_time()
    {
        using var api = await system.StartApiAsync(("Ledger__Identity__AccessTokenSeconds", "3"));
        var user = await api.NewUserAsync();
        (await user.GetAsync("identity/me")).MustBe(200);

        await Eventually.TrueAsync(async () => (await user.GetAsync("identity/me")).Status == 401, TimeSpan.FromSeconds(20), () => "An expired token is still taken.");
        // Nor is it by an API whose own tokens live longer.
        (await user.At(await system.ApiAsync()).GetAsync("identity/me")).MustBe(401, "invalid_token");
    }

    [Fact]
    public async Task Users_do_not_deposit_where_self_service_is_off()
    {
        using var api = await system.StartApiAsync(("Ledger__SelfServiceDeposits", "false"));
        var user = (await system.NewUserAsync()).At(api);
        var @operator = (await system.NewOperatorAsync()).At(api);
        var key = await system.NewApiKeyAsync(Roles.Operator);

        (await user.DepositAsync("1.00")).MustBe(403, "forbidden");
        (await @operator.DepositAsync("1.00")).MustBe(403, "forbidden");
        (await @operator.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Id })).MustBe(201);
        (await api.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Email }, key)).MustBe(201);
        Assert.Equal(2m, await user.BalanceAsync());
    }

    [Fact]
    public async Task Behind_a_proxy_the_prefix_and_the_forwarded_address_and_the_allowed_origins_count()
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
    public async Task Whoever_is_no_known_proxy_chooses_no_address_by_a_header_whatever_the_framework_is_told()
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
    public async Task Below_a_prefix_every_address_in_an_answer_has_it()
    {
        const string Base = "/ledger/api/v1/";
        using var api = await system.StartApiAsync(("Ledger__Http__PathPrefix", "/ledger"));
        var user = (await system.NewUserAsync()).At(api);
        var @operator = (await system.NewOperatorAsync()).At(api);
        var deposit = new { currency = "USD", amount = "1.00" };

        // Refused by a handler, by the reader of bodies, by authentication, by authorization, by routing; rejected by the worker.
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
            // 202, unless the worker was faster than the answer.
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
    public async Task How_long_a_refusal_takes_does_not_tell_who_is_registered()
    {
        // As slow as for people: a missing hash would show a hundredfold, a missing statement not at all.
        using var api = await system.StartApiAsync(("Ledger__Identity__PasswordIterations", "100000"), ("Ledger__Identity__MaxFailedLogins", "100"));
        var user = await api.NewUserAsync();
        List<double> wrong = [], unknown = [];
        for (var i = 0; i < 12; i++)
        {
            wrong.Add(await TimeAsync(user.Email));
            unknown.Add(await TimeAsync($"{Guid.NewGuid():N}@example.com"));
        }

        Assert.InRange(Median(wrong) / Median(unknown), 0.5, 2);

        async Task<double> TimeAsync(string email)
        {
            var start = Stopwatch.GetTimestamp();
            (await api.PostAsync("identity/login", new { email, password = "wrong password" })).MustBe(401, "invalid_credentials");
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
    }

    [Fact]
    public async Task Locking_does_not_tell_who_is_registered()
    {
        var api = await system.ApiAsync();
        var email = $"{Guid.NewGuid():N}@example.com";
        var answers = await Task.WhenAll(Enumerable.Range(0, 15).Select(_ => api.PostAsync("identity/login", new { email, password = "wrong password" })));

        Assert.InRange(answers.Count(answer => answer.Status == 429), 1, 6);
        (await api.PostAsync("identity/login", new { email, password = "wrong password" })).MustBe(429, "rate_limited");
    }

    [Fact]
    public async Task The_tool_makes_operators_and_API_keys()
    {
        var api = await system.ApiAsync();
        var email = $"{Guid.NewGuid():N}@example.com";

        var (created, output) = await system.CliAsync("operator", "create", "--email", email);
        Assert.Equal(0, created);
        var password = output.Single(line => line.StartsWith("Password", StringComparison.Ordinal)).Split(' ')[^1];
        var login = (await api.PostAsync("identity/login", new { email, password })).MustBe(200);
        (await api.GetAsync("admin/users?limit=1", login["accessToken"])).MustBe(200);

        var (keyed, lines) = await system.CliAsync("api-key", "create", "--role", "operator", "--name", "payroll", "--expires", "90d");
        Assert.Equal(0, keyed);
        var key = lines.Single(line => line.StartsWith(ApiKey.Prefix, StringComparison.Ordinal));
        var id = lines[0].Split(' ')[1].TrimEnd(',');
        (await api.GetAsync("admin/users?limit=1", key)).MustBe(200);
        Assert.Contains((await system.CliAsync("api-key", "list")).Output, line => line.Contains(id, StringComparison.Ordinal) && line.Contains("good", StringComparison.Ordinal));

        Assert.Equal(0, (await system.CliAsync("api-key", "revoke", id)).ExitCode);
        await Eventually.RefusedAsync(TimeSpan.FromSeconds(5), () => api.GetAsync("admin/users?limit=1", key));
        Assert.Equal(1, (await system.CliAsync("api-key", "revoke", id)).ExitCode);
        Assert.NotEqual(0, (await system.CliAsync("operator", "create", "--email", "no address")).ExitCode);
    }
}
