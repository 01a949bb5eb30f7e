using System.ComponentModel.DataAnnotations;
using Ledger.Core.Identity;

namespace Ledger.Api.Identity;

/// <summary>Passwords, sessions and tokens: <c>Ledger__Identity__…</c>.</summary>
public sealed class IdentitySettings
{
    /// <summary>Iterations of PBKDF2 with HMAC-SHA-512 over a password. The default is OWASP's recommendation (Password Storage Cheat Sheet).</summary>
    [Range(1_000, 10_000_000)]
    public int PasswordIterations { get; set; } = PasswordHashing.Iterations;

    /// <summary>The lifetime of an access token in seconds.</summary>
    [Range(2, 86_400)]
    public int AccessTokenSeconds { get; set; } = 900;

    /// <summary>The lifetime of a session in days; refreshes do not extend it (NIST SP 800-63B, section 4.1.3: 30).</summary>
    [Range(1, 365)]
    public int SessionDays { get; set; } = 30;

    /// <summary>Logins without a success between them that lock an e-mail address. A login counts when its password starts to be checked.</summary>
    [Range(1, 100)]
    public int MaxFailedLogins { get; set; } = 10;

    /// <summary>Seconds for which an e-mail address stays locked.</summary>
    [Range(1, 86_400)]
    public int LockoutSeconds { get; set; } = 60;
}
