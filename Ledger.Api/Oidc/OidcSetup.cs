using Ledger.ServiceDefaults;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.Tokens;

namespace Ledger.Api.Oidc;

/// <summary>Login with the access tokens of an external OpenID Connect provider, beside the ledger's own sessions.</summary>
public static class OidcSetup
{
    /// <summary>The authentication scheme of the provider's tokens. Only <see cref="ExternalTokens"/> asks for it.</summary>
    internal const string Scheme = "oidc";

    // A stolen key that the provider withdraws is refused after this time at the latest.
    private static readonly TimeSpan KeysMaxAge = TimeSpan.FromMinutes(5);

    // Tokens with unknown keys cause at most one request to the provider in this time.
    private static readonly TimeSpan KeysMinAge = TimeSpan.FromSeconds(10);

    // Of reading the provider's keys.
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(5);

    /// <summary>How far the clocks of the provider and the ledger may differ.</summary>
    internal static readonly TimeSpan ClockSkew = TimeSpan.FromSeconds(30);

    // Signatures by a public key, which the provider alone can make. Neither none nor HMAC, whose key would be the public one.
    private static readonly string[] s_algorithms =
    [
        SecurityAlgorithms.RsaSha256, SecurityAlgorithms.RsaSha384, SecurityAlgorithms.RsaSha512,
        SecurityAlgorithms.RsaSsaPssSha256, SecurityAlgorithms.RsaSsaPssSha384, SecurityAlgorithms.RsaSsaPssSha512,
        SecurityAlgorithms.EcdsaSha256, SecurityAlgorithms.EcdsaSha384, SecurityAlgorithms.EcdsaSha512,
    ];

    /// <summary>Checks the options. Registers nothing else unless an authority is configured.</summary>
    public static void AddOidc(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<OidcSettings>("Oidc");
        var services = builder.Services;
        services.AddSingleton<IValidateOptions<OidcSettings>, OidcValidation>();
        if (string.IsNullOrEmpty(builder.Configuration["Ledger:Oidc:Authority"]))
            return;

        services.AddSingleton<ProviderKeys>();
        services.AddSingleton<ExternalUsers>();
        services.AddSingleton<ExternalServices>();
        services.AddSingleton<ExternalTokens>();
        services.AddAuthentication().AddJwtBearer(Scheme, _ => { });
        services.AddOptions<JwtBearerOptions>(Scheme).Configure<IOptions<OidcSettings>>((options, settings) =>
        {
            options.Authority = settings.Value.Authority;
            options.RequireHttpsMetadata = settings.Value.Authority.StartsWith("https:", StringComparison.OrdinalIgnoreCase);
            options.BackchannelTimeout = Timeout;
            options.AutomaticRefreshInterval = KeysMaxAge;
            options.RefreshInterval = KeysMinAge;
            options.MapInboundClaims = false;
            options.SaveToken = false;
            options.TokenValidationParameters.ValidAudience = settings.Value.Audience;
            options.TokenValidationParameters.ValidAlgorithms = s_algorithms;
            options.TokenValidationParameters.ClockSkew = ClockSkew;
        });
        // By default, keys that the provider has withdrawn are accepted for an hour more. After JwtBearer, which makes the manager.
        services.AddOptions<JwtBearerOptions>(Scheme).PostConfigure(
            options => ((BaseConfigurationManager)options.ConfigurationManager!).UseLastKnownGoodConfiguration = false);
    }
}
