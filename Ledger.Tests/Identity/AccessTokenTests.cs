using Ledger.Api.Identity;
using Ledger.Tests.Harness;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Tests.Identity;

/// <summary>Only genuine, unchanged and unexpired access tokens are accepted.</summary>
public sealed class AccessTokenTests(LedgerSystem system)
{
    [Fact]
    public async Task Access_token_with_a_changed_character_is_refused()
    {
        var user = await system.NewUserAsync();
        for (var at = 0; at < user.Token.Length; at += 7)
        {
            var changed = user.Token[..at] + (user.Token[at] == 'A' ? 'B' : 'A') + user.Token[(at + 1)..];
            (await user.Api.GetAsync("identity/me", changed)).MustBe(401, "invalid_token");
        }
        (await user.Api.GetAsync("identity/me", user.Token[..^4])).MustBe(401, "invalid_token");
        (await user.Api.GetAsync("identity/me", user.Token + user.Token)).MustBe(401, "invalid_token");
    }

    [Fact]
    public async Task Access_token_of_another_ledger_is_refused()
    {
        var user = await system.NewUserAsync();
        await using var nowhere = NpgsqlDataSource.Create("Host=127.0.0.1;Port=1");
        var settings = Options.Create(new IdentitySettings());
        using var revocations = new Revocations(nowhere, TimeProvider.System, settings, NullLogger<Revocations>.Instance);
        var foreign = new AccessTokens(new EphemeralDataProtectionProvider(), revocations, TimeProvider.System, settings)
            .Issue(Guid.CreateVersion7(), user.Id, CallerRoles.Operator, DateTime.UtcNow, TimeSpan.FromMinutes(15));

        (await user.Api.GetAsync("identity/me", foreign)).MustBe(401, "invalid_token");
    }

    [Fact]
    public async Task Refresh_token_and_access_token_are_not_interchangeable()
    {
        var user = await system.NewUserAsync();
        var login = (await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password })).MustBe(200);

        (await user.Api.GetAsync("identity/me", login["refreshToken"])).MustBe(401, "invalid_token");
        (await user.Api.PostAsync("identity/refresh", new { refreshToken = login["accessToken"] })).MustBe(401, "invalid_token");
    }

    [Theory]
    [InlineData("Basic dXNlcjpwYXNz")]
    [InlineData("Bearer")]
    [InlineData("Bearer ")]
    [InlineData("Bearer null")]
    [InlineData("Bearer lk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    [InlineData("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.")]
    public async Task Unknown_credential_is_refused_with_a_challenge(string header)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/identity/me");
        Assert.True(request.Headers.TryAddWithoutValidation("Authorization", header));

        var answer = (await (await system.ApiAsync()).SendAsync(request)).MustBe(401, "invalid_token");

        Assert.Equal("Bearer", answer.Headers.WwwAuthenticate.Single().Scheme);
    }

    [Fact]
    public async Task Expired_access_token_is_refused()
    {
        using var api = await system.StartApiAsync(("Ledger__Identity__AccessTokenSeconds", "3"));
        var user = await api.NewUserAsync();
        (await user.GetAsync("identity/me")).MustBe(200);

        await Eventually.TrueAsync(async () => (await user.GetAsync("identity/me")).Status == 401, TimeSpan.FromSeconds(20), () => "An expired access token is still accepted.");
        // An API whose own tokens live longer refuses it too.
        (await user.At(await system.ApiAsync()).GetAsync("identity/me")).MustBe(401, "invalid_token");
    }
}
