using System.ComponentModel.DataAnnotations;

namespace Ledger.Api.Identity;

/// <summary>How users prove who they are: <c>Ledger__Identity__…</c>.</summary>
public sealed class IdentitySettings
{
    /// <summary>Rounds of PBKDF2 with HMAC-SHA-512 over a password. The default is OWASP's recommendation (Password Storage Cheat Sheet).</summary>
    [Range(1_000, 10_000_000)]
    public int PasswordIterations { get; set; } = 210_000;

    /// <summary>Seconds that an access token is valid.</summary>
    [Range(10, 86_400)]
    public int AccessTokenSeconds { get; set; } = 3600;

    /// <summary>Wrong passwords in a row before an address is locked for a while.</summary>
    [Range(1, 100)]
    public int MaxFailedLogins { get; set; } = 10;

    /// <summary>Seconds that it stays locked.</summary>
    [Range(1, 86_400)]
    public int LockoutSeconds { get; set; } = 60;
}
