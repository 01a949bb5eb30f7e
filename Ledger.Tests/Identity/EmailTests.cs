using Ledger.Tests.Harness;

namespace Ledger.Tests.Identity;

/// <summary>E-mail addresses that look the same belong to one user.</summary>
public sealed class EmailTests(LedgerSystem system)
{
    // Latin, with an accent: composed, decomposed, in capitals, in full width. The second column differs in nothing that can be seen.
    [Theory]
    [InlineData("jos\u00e9", "jose\u0301")]
    [InlineData("jose\u0301", "JOS\u00c9")]
    [InlineData("\u00e5ngstr\u00f6m", "\u212bngstr\u00f6m")]
    [InlineData("bob", "\uff42\uff4f\uff42")]
    [InlineData("o\ufb03ce", "office")]
    [InlineData("kelvin", "\u212aelvin")]
    [InlineData("stra\u00dfe", "STRA\u1e9eE")]
    [InlineData("\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2", "\u03a3\u038a\u03a3\u03a5\u03a6\u039f\u03a3")]
    [InlineData("\uac00\ub098", "\u1100\u1161\u1102\u1161")]
    public async Task Two_forms_of_an_email_are_one_user(string form, string other)
    {
        var api = await system.ApiAsync();
        var unique = $"{Guid.NewGuid():N}@example.com";
        var (email, lookAlike) = ($"{form}.{unique}", $"{other}.{unique}");

        var user = (await api.PostAsync("identity/register", new { email, password = LedgerApi.Password })).MustBe(201)["userId"];
        (await api.PostAsync("identity/register", new { email = lookAlike, password = LedgerApi.Password })).MustBe(409, "email_taken");

        var login = (await api.PostAsync("identity/login", new { email = lookAlike, password = LedgerApi.Password })).MustBe(200);
        Assert.Equal(user, (await api.GetAsync("identity/me", login["accessToken"])).MustBe(200)["userId"]);
        var payer = await system.NewUserAsync("1.00");
        (await payer.TransferAsync(lookAlike, "1.00")).MustBe(201);
        Assert.Equal("1.00", (await api.GetAsync("balances/USD", login["accessToken"])).MustBe(200)["posted"]);
        var found = (await (await system.NewOperatorAsync()).GetAsync($"admin/users?query={Uri.EscapeDataString(lookAlike)}")).MustBe(200);
        Assert.Equal(user, Assert.Single(found.Json.GetProperty("items").EnumerateArray()).GetProperty("userId").GetString());
    }

    /// <summary>Failures count by the same form, so that another form does not give more guesses.</summary>
    [Fact]
    public async Task Two_forms_of_an_email_are_locked_together()
    {
        var api = await system.ApiAsync();
        var unique = $"{Guid.NewGuid():N}@example.com";
        for (var i = 0; i < 9; i++)
            (await LoginAsync(i % 2 == 0 ? "jos\u00e9" : "jose\u0301")).MustBe(401, "invalid_credentials");
        (await LoginAsync("JOS\u00c9")).MustBe(429, "rate_limited");
        (await LoginAsync("jose\u0301")).MustBe(429, "rate_limited");

        Task<Answer> LoginAsync(string name) => api.PostAsync("identity/login", new { email = $"{name}.{unique}", password = "wrong password" });
    }

    [Fact]
    public async Task Command_line_finds_every_form_of_an_email()
    {
        var api = await system.ApiAsync();
        var unique = $"{Guid.NewGuid():N}@example.com";
        var user = (await api.PostAsync("identity/register", new { email = $"jos\u00e9.{unique}", password = LedgerApi.Password })).MustBe(201)["userId"]!;

        var (exitCode, output) = await system.CliAsync("operator", "create", "--email", $"jose\u0301.{unique}");

        Assert.Equal(0, exitCode);
        Assert.Contains(output, line => line.Contains(user, StringComparison.Ordinal));
        Assert.DoesNotContain(output, line => line.Contains("Password", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("bo\u00adb")] // soft hyphen
    [InlineData("bo\u200bb")] // zero width space
    [InlineData("bo\u200db")] // zero width joiner
    [InlineData("\ufeffbob")] // byte order mark
    [InlineData("bob\u202e")] // right-to-left override
    [InlineData("bo\u2060b")] // word joiner
    [InlineData("bo\u034fb")] // combining grapheme joiner
    [InlineData("bo\ufe0fb")] // variation selector
    [InlineData("bob\u3164")] // Hangul filler
    [InlineData("bob\uffa0")] // half width Hangul filler
    [InlineData("bo\u180eb")] // Mongolian vowel separator
    [InlineData("bo\U000e0061b")] // tag
    [InlineData("bo\U000e0101b")] // variation selector of the supplement
    [InlineData("bo\u00a0b")] // no-break space
    [InlineData("bo\u2028b")] // line separator
    [InlineData("bo\u0085b")] // next line
    [InlineData("bo\ue000b")] // private use
    [InlineData("bo\uffffb")] // not a character
    [InlineData("bo\u00a8b")] // becomes a blank and a mark
    [InlineData("bo\uff20b")] // becomes a second @
    public async Task Email_with_an_invisible_character_or_with_a_sign_in_disguise_is_refused(string name)
    {
        var api = await system.ApiAsync();
        var answer = (await api.PostAsync("identity/register", new { email = $"{name}.{Guid.NewGuid():N}@example.com", password = LedgerApi.Password })).MustBe(400, "validation_failed");
        Assert.True(answer.Json.GetProperty("errors").TryGetProperty("email", out _), answer.Text);
    }
}
