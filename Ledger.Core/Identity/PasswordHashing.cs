using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;

namespace Ledger.Core.Identity;

/// <summary>How passwords are kept: PBKDF2 with HMAC-SHA-512, salted, as ASP.NET Core Identity writes it.</summary>
public static class PasswordHashing
{
    /// <summary>OWASP's recommendation (Password Storage Cheat Sheet).</summary>
    public const int Iterations = 210_000;

    /// <summary>A hasher for whoever has no services to ask for one.</summary>
    public static IPasswordHasher<User> Create() =>
        new PasswordHasher<User>(Options.Create(new PasswordHasherOptions { IterationCount = Iterations }));
}
