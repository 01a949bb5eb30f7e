using Ledger.Api.Users;
using Ledger.Core.Identity;
using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.DataProtection.KeyManagement;
using Microsoft.AspNetCore.DataProtection.Repositories;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Identity;

/// <summary>Users and passwords of ASP.NET Core Identity, and the ledger's own sessions, access tokens and API keys.</summary>
public static class IdentitySetup
{
    public static void AddIdentity(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<IdentitySettings>("Identity");
        var services = builder.Services;

        services.AddSingleton<ILookupNormalizer, EmailKeys>();
        services.AddIdentityCore<User>(options =>
            {
                options.User.RequireUniqueEmail = true;
                options.User.AllowedUserNameCharacters = "";
                options.Password.RequiredLength = Passwords.MinLength;
                options.Password.RequireDigit = false;
                options.Password.RequireLowercase = false;
                options.Password.RequireUppercase = false;
                options.Password.RequireNonAlphanumeric = false;
                options.Password.RequiredUniqueChars = 1;
            })
            .AddRoles<IdentityRole<Guid>>()
            .AddEntityFrameworkStores<LedgerDbContext>();
        services.AddSingleton<Passwords>();
        services.AddSingleton<LoginAttempts>();
        services.AddSingleton<IPasswordHasher<User>, PasswordHasher<User>>();
        services.AddOptions<PasswordHasherOptions>().Configure<IOptions<IdentitySettings>>(
            (hasher, settings) => hasher.IterationCount = settings.Value.PasswordIterations);

        services.AddSingleton<AccessTokens>();
        services.AddSingleton<ApiKeys>();
        services.AddSingleton<UserLookup>();
        services.AddSingleton<OnBehalfOf>();
        services.AddSingleton<Sessions>();
        services.AddSingleton<Revocations>();
        services.AddHostedService(provider => provider.GetRequiredService<Revocations>());
        services.AddHostedService<ExpiredSessions>();
        services.AddAuthentication(Caller.AuthenticationScheme)
            .AddScheme<AuthenticationSchemeOptions, Authentication>(Caller.AuthenticationScheme, null);
        services.AddPolicies();

        services.AddDataProtection().SetApplicationName("ledger");
        services.AddSingleton<IXmlRepository, DataProtectionKeys>();
        services.AddOptions<KeyManagementOptions>().Configure<IXmlRepository>((keys, repository) => keys.XmlRepository = repository);
        IdentityMetrics.Register();
    }
}
