using System.Diagnostics;
using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Identity;

/// <summary>Registration and login.</summary>
public sealed class IdentityTests(LedgerSystem system)
{
    private static string NewEmail => $"{Guid.NewGuid():N}@example.com";

    [Fact]
    public async Task Registered_user_can_log_in()
    {
        var api = await system.ApiAsync();
        var email = NewEmail;

        var registered = (await api.PostAsync("identity/register", new { email, password = LedgerApi.Password })).MustBe(201);
        var login = (await api.PostAsync("identity/login", new { email, password = LedgerApi.Password })).MustBe(200);
        var me = (await api.GetAsync("identity/me", login["accessToken"])).MustBe(200);

        Assert.Equal("/api/v1/identity/me", registered.Location);
        Assert.Equal(("Bearer", true), (login["tokenType"], login.Json.GetProperty("expiresIn").GetInt32() > 0));
        Assert.Equal((registered["userId"], email), (me["userId"], me["email"]));
        Assert.Equal("user", Assert.Single(me.Json.GetProperty("roles").EnumerateArray()).GetString());
    }

    [Fact]
    public async Task Access_token_of_one_API_is_accepted_by_the_other()
    {
        var apis = await system.ApisAsync();
        var user = await apis[0].NewUserAsync();

        Assert.Equal(user.Id.ToString(), (await user.At(apis[1]).GetAsync("identity/me")).MustBe(200)["userId"]);
    }

    [Fact]
    public async Task Email_is_registered_once_in_any_letter_case()
    {
        var user = await system.NewUserAsync();

        (await user.Api.PostAsync("identity/register", new { email = user.Email, password = "another password" })).MustBe(409, "email_taken");
        (await user.Api.PostAsync("identity/register", new { email = user.Email.ToUpperInvariant(), password = "another password" })).MustBe(409, "email_taken");
    }

    [Fact]
    public async Task One_of_many_concurrent_registrations_of_an_email_succeeds()
    {
        var apis = await system.ApisAsync();
        var email = NewEmail;

        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(i => apis[i % 2].PostAsync("identity/register", new { email, password = LedgerApi.Password })));

        Assert.Single(answers, answer => answer.Status == 201);
        Assert.All(answers.Where(answer => answer.Status != 201), answer => answer.MustBe(409, "email_taken"));
    }

    [Theory]
    [InlineData("", "email")]
    [InlineData("nobody", "email")]
    [InlineData("a@", "email")]
    [InlineData("@example.com", "email")]
    [InlineData("a b@example.com", "email")]
    [InlineData("Some Body <a@example.com>", "email")]
    [InlineData("a\u0000@example.com", "email")]
    public async Task Registration_with_invalid_email_is_refused(string email, string field)
    {
        var answer = (await (await system.ApiAsync()).PostAsync("identity/register", new { email, password = LedgerApi.Password })).MustBe(400, "validation_failed");
        Assert.True(answer.Json.GetProperty("errors").TryGetProperty(field, out _), answer.Text);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(129)]
    public async Task Password_shorter_than_8_or_longer_than_128_characters_is_refused(int length)
    {
        var api = await system.ApiAsync();
        var answer = (await api.PostAsync("identity/register", new { email = NewEmail, password = new string('p', length) })).MustBe(400, "validation_failed");
        Assert.True(answer.Json.GetProperty("errors").TryGetProperty("password", out _), answer.Text);
    }

    [Fact]
    public async Task Empty_registration_names_both_fields()
    {
        var errors = (await (await system.ApiAsync()).PostAsync("identity/register", "{}")).MustBe(400, "validation_failed").Json.GetProperty("errors");
        Assert.Equal(["email", "password"], errors.EnumerateObject().Select(error => error.Name).Order());
    }

    [Fact]
    public async Task Wrong_password_and_unknown_email_get_the_same_answer()
    {
        var user = await system.NewUserAsync();

        var wrong = (await user.Api.PostAsync("identity/login", new { email = user.Email, password = "wrong password" })).MustBe(401, "invalid_credentials");
        var unknown = (await user.Api.PostAsync("identity/login", new { email = NewEmail, password = "wrong password" })).MustBe(401, "invalid_credentials");

        Assert.Equal(wrong["detail"], unknown["detail"]);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"email":null,"password":null}""")]
    [InlineData("""{"email":"a\u0000b@example.com","password":"wrong password"}""")]
    [InlineData("""{"email":"no address","password":"wrong password"}""")]
    public async Task Login_with_impossible_email_gets_invalid_credentials(string body) =>
        (await (await system.ApiAsync()).PostAsync("identity/login", body)).MustBe(401, "invalid_credentials");

    [Fact]
    public async Task Repeated_failures_lock_the_email_even_for_the_right_password()
    {
        var user = await system.NewUserAsync();
        Answer answer;
        var attempts = 0;
        do
        {
            answer = await user.Api.PostAsync("identity/login", new { email = user.Email, password = "wrong password" });
            Assert.True(++attempts <= 10, "Ten wrong passwords did not lock the e-mail address.");
        }
        while (answer.Status == 401);

        answer.MustBe(429, "rate_limited");
        Assert.InRange(answer.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        (await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password })).MustBe(429, "rate_limited");
        // Existing sessions are not affected.
        (await user.GetAsync("identity/me")).MustBe(200);
    }

    [Theory]
    [InlineData("GET", "identity/me")]
    [InlineData("GET", "balances")]
    [InlineData("GET", "balances/USD")]
    [InlineData("GET", "transactions")]
    [InlineData("GET", "transactions/01900000-0000-7000-8000-000000000001")]
    [InlineData("POST", "deposits")]
    [InlineData("POST", "withdrawals")]
    [InlineData("POST", "transfers")]
    public async Task Endpoints_for_users_refuse_requests_without_an_access_token(string method, string path)
    {
        var api = await system.ApiAsync();
        Task<Answer> CallAsync(string? token) => method == "GET" ? api.GetAsync(path, token) : api.PostAsync(path, new { currency = "USD", amount = "1.00" }, token);

        (await CallAsync(null)).MustBe(401, "unauthenticated");
        (await CallAsync("not-a-token")).MustBe(401, "invalid_token");
    }

    [Fact]
    public async Task Tampered_access_token_is_refused()
    {
        var user = await system.NewUserAsync();
        var middle = user.Token.Length / 2;
        var tampered = user.Token[..middle] + (user.Token[middle] == 'A' ? 'B' : 'A') + user.Token[(middle + 1)..];

        (await user.Api.GetAsync("identity/me", tampered)).MustBe(401, "invalid_token");
    }

    [Fact]
    public async Task Time_of_a_refused_login_does_not_show_whether_the_email_is_registered()
    {
        // As many iterations as in production: a missing hash would be a hundred times faster.
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

    /// <summary>Another API must not admit more either. Its logins are counted in the same row.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Parallel_guesses_try_no_more_passwords_than_serial_ones(bool isRegistered)
    {
        const int Guesses = 60;
        (string, string)[] options =
        [
            ("Ledger__Identity__MaxFailedLogins", "3"), ("Ledger__Identity__LockoutSeconds", "5"), ("Ledger__Identity__PasswordIterations", "100000"),
        ];
        using var one = await system.StartApiAsync(options);
        using var other = await system.StartApiAsync(options);
        var email = isRegistered ? (await one.NewUserAsync()).Email : NewEmail;
        var userId = isRegistered ? (await UserIdAsync()).ToString() : null;

        var answers = await Task.WhenAll(Enumerable.Range(0, Guesses).Select(i => LoginAsync(i % 2 == 0 ? one : other, "wrong password")));

        // The third one is tried too, and is answered like those that come after it.
        Assert.Equal(2, answers.Count(answer => answer.Status == 401));
        Assert.All(answers.Where(answer => answer.Status != 401), answer => answer.MustBe(429, "rate_limited"));
        if (userId is not null)
            Assert.Equal(3, await Books.NumberAsync(
                await system.DatabaseAsync(), "select count(*) from identity.audit where subject = $1 and action = $2", userId, AuditActions.SignInFailed));

        // The right password does not get in until the lock ends.
        var locked = (await LoginAsync(other, LedgerApi.Password)).MustBe(429, "rate_limited");
        Assert.InRange(locked.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 5);
        await Eventually.TrueAsync(async () => (await LoginAsync(one, LedgerApi.Password)).Status == (isRegistered ? 200 : 401));

        Task<Answer> LoginAsync(LedgerApi api, string password) => api.PostAsync("identity/login", new { email, password });
        async Task<Guid> UserIdAsync() => Guid.Parse(Assert.Single(await Books.TextsAsync(
            await system.DatabaseAsync(), "select id::text from identity.users where email = $1", email)));
    }

    [Fact]
    public async Task Successful_login_takes_back_the_count()
    {
        using var api = await system.StartApiAsync(("Ledger__Identity__MaxFailedLogins", "2"));
        var user = await api.NewUserAsync();
        for (var i = 0; i < 3; i++)
        {
            (await LoginAsync("wrong password")).MustBe(401, "invalid_credentials");
            (await LoginAsync(LedgerApi.Password)).MustBe(200);
        }
        (await LoginAsync("wrong password")).MustBe(401, "invalid_credentials");
        (await LoginAsync("wrong password")).MustBe(429, "rate_limited");

        Task<Answer> LoginAsync(string password) => api.PostAsync("identity/login", new { email = user.Email, password });
    }

    [Fact]
    public async Task Unknown_email_is_locked_like_a_registered_one()
    {
        var api = await system.ApiAsync();
        var email = $"{Guid.NewGuid():N}@example.com";
        var answers = await Task.WhenAll(Enumerable.Range(0, 15).Select(_ => api.PostAsync("identity/login", new { email, password = "wrong password" })));

        Assert.Equal(6, answers.Count(answer => answer.Status == 429));
        (await api.PostAsync("identity/login", new { email, password = "wrong password" })).MustBe(429, "rate_limited");
    }
}
