using Ledger.Tests.Harness;

namespace Ledger.Tests.Identity;

public sealed class IdentityTests(LedgerSystem system)
{
    private static string NewEmail => $"{Guid.NewGuid():N}@example.com";

    [Fact]
    public async Task Whoever_registers_can_log_in_and_is_who_it_says()
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
    public async Task A_token_of_one_API_is_good_at_the_other()
    {
        var apis = await system.ApisAsync();
        var user = await apis[0].NewUserAsync();

        Assert.Equal(user.Id.ToString(), (await user.At(apis[1]).GetAsync("identity/me")).MustBe(200)["userId"]);
    }

    [Fact]
    public async Task An_address_is_registered_once_however_it_is_spelled()
    {
        var user = await system.NewUserAsync();

        (await user.Api.PostAsync("identity/register", new { email = user.Email, password = "another password" })).MustBe(409, "email_taken");
        (await user.Api.PostAsync("identity/register", new { email = user.Email.ToUpperInvariant(), password = "another password" })).MustBe(409, "email_taken");
    }

    [Fact]
    public async Task Of_many_who_register_one_address_at_once_one_gets_it()
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
    public async Task What_is_no_address_is_not_registered(string email, string field)
    {
        var answer = (await (await system.ApiAsync()).PostAsync("identity/register", new { email, password = LedgerApi.Password })).MustBe(400, "validation_failed");
        Assert.True(answer.Json.GetProperty("errors").TryGetProperty(field, out _), answer.Text);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(129)]
    public async Task A_password_has_8_to_128_characters(int length)
    {
        var api = await system.ApiAsync();
        var answer = (await api.PostAsync("identity/register", new { email = NewEmail, password = new string('p', length) })).MustBe(400, "validation_failed");
        Assert.True(answer.Json.GetProperty("errors").TryGetProperty("password", out _), answer.Text);
    }

    [Fact]
    public async Task An_empty_registration_is_told_both_fields()
    {
        var errors = (await (await system.ApiAsync()).PostAsync("identity/register", "{}")).MustBe(400, "validation_failed").Json.GetProperty("errors");
        Assert.Equal(["email", "password"], errors.EnumerateObject().Select(error => error.Name).Order());
    }

    [Fact]
    public async Task A_wrong_password_and_an_unknown_address_get_the_same_answer()
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
    public async Task What_nobody_can_have_registered_does_not_log_in(string body) =>
        (await (await system.ApiAsync()).PostAsync("identity/login", body)).MustBe(401, "invalid_credentials");

    [Fact]
    public async Task Repeated_failures_lock_the_address_for_a_while_even_for_the_right_password()
    {
        var user = await system.NewUserAsync();
        Answer answer;
        var attempts = 0;
        do
        {
            answer = await user.Api.PostAsync("identity/login", new { email = user.Email, password = "wrong password" });
            Assert.True(++attempts <= 10, "Ten failures did not lock the address.");
        }
        while (answer.Status == 401);

        answer.MustBe(429, "rate_limited");
        Assert.InRange(answer.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        (await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password })).MustBe(429, "rate_limited");
        // Somebody who is logged in stays so.
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
    public async Task Nothing_of_a_user_is_to_be_had_without_its_token(string method, string path)
    {
        var api = await system.ApiAsync();
        Task<Answer> CallAsync(string? token) => method == "GET" ? api.GetAsync(path, token) : api.PostAsync(path, new { currency = "USD", amount = "1.00" }, token);

        (await CallAsync(null)).MustBe(401, "unauthenticated");
        (await CallAsync("not-a-token")).MustBe(401, "invalid_token");
    }

    [Fact]
    public async Task A_token_that_was_tampered_with_is_refused()
    {
        var user = await system.NewUserAsync();
        var middle = user.Token.Length / 2;
        var tampered = user.Token[..middle] + (user.Token[middle] == 'A' ? 'B' : 'A') + user.Token[(middle + 1)..];

        (await user.Api.GetAsync("identity/me", tampered)).MustBe(401, "invalid_token");
    }
}
