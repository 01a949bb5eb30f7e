using System.Security.Claims;
using System.Security.Cryptography;
using System.Text.Json;
using Ledger.AppHost;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using OpenIddict.Abstractions;
using OpenIddict.Server;

namespace Ledger.Tests.Oidc;

/// <summary>A real OpenID Connect provider, OpenIddict, in the process of the tests. Its tokens say what a test asks for.</summary>
internal sealed class OidcProvider : IAsyncDisposable
{
    public const string Audience = "ledger-api";

    /// <summary>The client of tokens that name no other.</summary>
    public const string Client = "web";

    private readonly HttpClient _http = new();
    private WebApplication? _app;

    /// <summary>The address, which is the issuer of the tokens too.</summary>
    public Uri Address { get; } = new($"http://127.0.0.1:{Ports.Free()}/");

    /// <summary>The key that signs, with its private part.</summary>
    public RsaSecurityKey Key { get; private set; } = NewKey();

    public static RsaSecurityKey NewKey() => new(RSA.Create(2048)) { KeyId = Guid.NewGuid().ToString("N") };

    public async Task StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(Address.GetLeftPart(UriPartial.Authority));
        builder.Services.AddOpenIddict().AddServer(options =>
        {
            options.EnableDegradedMode().AllowClientCredentialsFlow().SetIssuer(Address).SetTokenEndpointUris("token")
                .AddSigningKey(Key).AddEphemeralEncryptionKey().DisableAccessTokenEncryption();
            options.UseAspNetCore().DisableTransportSecurityRequirement();
            options.AddEventHandler<OpenIddictServerEvents.ValidateTokenRequestContext>(handler => handler.UseInlineHandler(_ => default));
            options.AddEventHandler<OpenIddictServerEvents.HandleTokenRequestContext>(handler => handler.UseInlineHandler(context =>
            {
                context.SignIn(PrincipalOf((string)context.Request["test_claims"]!));
                return default;
            }));
        });
        _app = builder.Build();
        _app.UseAuthentication();
        await _app.StartAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>Starts again with another key. The last one is published no more.</summary>
    public async Task RotateAsync()
    {
        await StopAsync();
        Key = NewKey();
        await StartAsync();
    }

    /// <summary>An access token from the token endpoint.</summary>
    public Task<string> TokenAsync(string subject, params (string Name, object Value)[] claims) => TokenOfAsync(Client, subject, claims);

    /// <summary>An access token that another client gets.</summary>
    public async Task<string> TokenOfAsync(string client, string subject, params (string Name, object Value)[] claims)
    {
        using var request = new FormUrlEncodedContent(new Dictionary<string, string>
        {
            ["grant_type"] = "client_credentials",
            ["client_id"] = client,
            ["client_secret"] = "not checked",
            ["test_claims"] = JsonSerializer.Serialize(claims.Prepend(("sub", subject)).ToDictionary(claim => claim.Item1, claim => claim.Item2)),
        });
        using var response = await _http.PostAsync(new Uri(Address, "token"), request);
        var body = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, body);
        return JsonElement.Parse(body).GetProperty("access_token").GetString()!;
    }

    /// <summary>A token that the provider did not issue, or not now: the claims and the signature are the test's.</summary>
    /// <param name="signature">Null for a token without a signature.</param>
    public string Forge(
        string subject, SigningCredentials? signature, string? issuer = null, string audience = Audience, TimeSpan age = default, params (string Name, object Value)[] claims)
    {
        var issuedAt = DateTime.UtcNow - age;
        return new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(new SecurityTokenDescriptor
        {
            Issuer = issuer ?? Address.AbsoluteUri,
            Audience = audience,
            IssuedAt = issuedAt,
            NotBefore = issuedAt,
            Expires = issuedAt + TimeSpan.FromMinutes(10),
            TokenType = "at+jwt",
            Claims = claims.Prepend(("sub", subject)).ToDictionary(claim => claim.Item1, claim => claim.Item2),
            SigningCredentials = signature,
        });
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _http.Dispose();
    }

    private async Task StopAsync()
    {
        if (_app is { } app)
            await app.DisposeAsync();
        _app = null;
    }

    private static ClaimsPrincipal PrincipalOf(string claims)
    {
        var identity = new ClaimsIdentity("test", "name", "role");
        foreach (var claim in JsonElement.Parse(claims).EnumerateObject())
        {
            switch (claim.Value.ValueKind)
            {
                case JsonValueKind.Array:
                    identity.SetClaims(claim.Name, [.. claim.Value.EnumerateArray().Select(value => value.GetString()!)]);
                    break;
                case JsonValueKind.True or JsonValueKind.False:
                    identity.SetClaim(claim.Name, claim.Value.GetBoolean());
                    break;
                default:
                    identity.SetClaim(claim.Name, claim.Value.GetString());
                    break;
            }
        }
        identity.SetResources(Audience);
        identity.SetDestinations(_ => [OpenIddictConstants.Destinations.AccessToken]);
        return new ClaimsPrincipal(identity);
    }
}
