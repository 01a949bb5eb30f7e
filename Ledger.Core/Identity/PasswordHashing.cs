using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;

namespace Ledger.Core.Identity;

/// <summary>Hashes of passwords: salted PBKDF2 with HMAC-SHA-512, in the format of ASP.NET Core Identity.</summary>
public static class PasswordHashing
{
    /// <summary>OWASP's recommendation (Password Storage Cheat Sheet).</summary>
    public const int Iterations = 210_000;

    /// <summary>A hasher for code without a service provider.</summary>
    public static IPasswordHasher<User> Create() =>
        new PasswordHasher<User>(Options.Create(new PasswordHasherOptions { IterationCount = Iterations }));
}
