using Ledger.Api.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Identity;

/// <summary>Which passwords are refused and accepted.</summary>
public sealed class PasswordTests(LedgerSystem system)
{
    [Theory]
    [InlineData("password123")]
    [InlineData("PassWord123")]
    [InlineData("qwertyuiop")]
    [InlineData("iloveyou1")]
    [InlineData("aaaaaaaaaaaa")]
    [InlineData("abcabcabcabc")]
    [InlineData("23456789")]
    [InlineData("zyxwvuts")]
    [InlineData("ledger2026!")]
    [InlineData("marie.curie")]
    [InlineData("Marie.Curie1903")]
    [InlineData("marie.curie@example.com")]
    public void Password_that_is_easy_to_guess_is_refused(string password) =>
        Assert.NotNull(Passwords.ErrorOf(password, "marie.curie@example.com"));

    [Theory]
    [InlineData("correct horse battery")]
    [InlineData("onlylowercaseletters")]
    [InlineData("        x")]
    [InlineData("пароль подлиннее")]
    [InlineData("🐎🔋📎🍎🐎🔋📎")]
    [InlineData("ledger of the third floor")]
    public void Other_password_of_any_composition_is_accepted(string password) =>
        Assert.Null(Passwords.ErrorOf(password, "marie.curie@example.com"));

    [Fact]
    public async Task Common_password_is_refused_at_registration_and_change()
    {
        var user = await system.NewUserAsync();
        var registered = (await user.Api.PostAsync("identity/register", new { email = "someone@example.com", password = "password123" })).MustBe(400, "validation_failed");
        var changed = (await user.PostAsync("identity/password", new { currentPassword = LedgerApi.Password, newPassword = "password123" })).MustBe(400, "validation_failed");

        Assert.True(registered.Json.GetProperty("errors").TryGetProperty("password", out _));
        Assert.True(changed.Json.GetProperty("errors").TryGetProperty("newPassword", out _));
    }
}
