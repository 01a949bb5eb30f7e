using Ledger.Core.Identity;
using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;
using Microsoft.AspNetCore.Authentication.BearerToken;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.DataProtection.KeyManagement;
using Microsoft.AspNetCore.DataProtection.Repositories;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Identity;

/// <summary>ASP.NET Core Identity with bearer tokens, on keys that all API processes share.</summary>
public static class IdentitySetup
{
    public static void AddIdentity(this IHostApplicationBuilder builder)
    {
        builder.AddLedgerOptions<IdentitySettings>("Identity");
        var services = builder.Services;

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
        services.AddSingleton<IPasswordHasher<User>, PasswordHasher<User>>();
        services.AddOptions<PasswordHasherOptions>().Configure<IOptions<IdentitySettings>>(
            (hasher, settings) => hasher.IterationCount = settings.Value.PasswordIterations);
        services.AddOptions<IdentityOptions>().Configure<IOptions<IdentitySettings>>((identity, settings) =>
        {
            identity.Lockout.MaxFailedAccessAttempts = settings.Value.MaxFailedLogins;
            identity.Lockout.DefaultLockoutTimeSpan = TimeSpan.FromSeconds(settings.Value.LockoutSeconds);
        });

        services.AddAuthentication(BearerTokenDefaults.AuthenticationScheme).AddBearerToken();
        services.AddOptions<BearerTokenOptions>(BearerTokenDefaults.AuthenticationScheme).Configure<IOptions<IdentitySettings>>(
            (token, settings) => token.BearerTokenExpiration = TimeSpan.FromSeconds(settings.Value.AccessTokenSeconds));
        services.AddAuthorization();

        services.AddDataProtection().SetApplicationName("ledger");
        services.AddSingleton<IXmlRepository, DataProtectionKeys>();
        services.AddOptions<KeyManagementOptions>().Configure<IXmlRepository>((keys, repository) => keys.XmlRepository = repository);
        services.AddSingleton<Recipients>();
    }
}
