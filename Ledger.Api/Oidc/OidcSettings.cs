using Microsoft.Extensions.Options;

namespace Ledger.Api.Oidc;

/// <summary>Access tokens of an external OpenID Connect provider: <c>Ledger__Oidc__…</c>. Without an authority none are accepted.</summary>
public sealed class OidcSettings
{
    /// <summary>The provider's address, under which its <c>/.well-known/openid-configuration</c> is.</summary>
    public string Authority { get; set; } = "";

    /// <summary>The value that the <c>aud</c> claim of each token must have.</summary>
    public string Audience { get; set; } = "";

    /// <summary>Claims that name the client of a token, also of a token of a user.</summary>
    internal const string ClientId = "client_id", AuthorizedParty = "azp";

    /// <summary>The claim that identifies the user at the provider.</summary>
    public string UserClaim { get; set; } = "sub";

    /// <summary>The claim with the names of the user's roles. Empty: the ledger alone gives roles.</summary>
    public string RolesClaim { get; set; } = "";

    /// <summary>The claim with the scopes that a token is limited to. Empty: tokens are not limited.</summary>
    public string ScopesClaim { get; set; } = "";

    /// <summary>The claim with the id or name of the service account that a client uses. Empty: tokens are of users only.</summary>
    public string ServiceClaim { get; set; } = "";

    /// <summary>Whether the first token of an unknown user makes a user.</summary>
    public bool CreateUsers { get; set; }
}

/// <summary>Checks that the options of the provider fit together.</summary>
internal sealed class OidcValidation(IHostEnvironment environment) : IValidateOptions<OidcSettings>
{
    public ValidateOptionsResult Validate(string? name, OidcSettings options) => ErrorOf(options) is { } error
        ? ValidateOptionsResult.Fail(error)
        : ValidateOptionsResult.Success;

    private string? ErrorOf(OidcSettings options)
    {
        if (options.Authority.Length == 0)
        {
            // A provider's other options without its address are a mistake, and not a ledger without a provider.
            return options is { Audience.Length: 0, UserClaim: "sub", RolesClaim.Length: 0, ScopesClaim.Length: 0, ServiceClaim.Length: 0, CreateUsers: false }
                ? null
                : "Ledger__Oidc__Authority is required with the other options of Ledger__Oidc.";
        }
        if (!Uri.TryCreate(options.Authority, UriKind.Absolute, out var authority) || authority.Scheme is not ("http" or "https")
            || authority.Query.Length > 0 || authority.Fragment.Length > 0 || authority.UserInfo.Length > 0)
            return "Ledger__Oidc__Authority must be the address of an OpenID Connect provider, such as https://login.example.com/realms/one.";
        if (authority.Scheme == "http" && !(environment.IsDevelopment() && authority.IsLoopback))
            return "Ledger__Oidc__Authority must begin with https://. In Development it may begin with http:// if it is this machine.";
        if (string.IsNullOrWhiteSpace(options.Audience))
            return "Ledger__Oidc__Audience is required with Ledger__Oidc__Authority: a token for another service must not be accepted.";
        return string.IsNullOrWhiteSpace(options.UserClaim) ? "Ledger__Oidc__UserClaim must be the name of a claim, such as sub." : null;
    }
}
