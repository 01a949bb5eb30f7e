using System.ComponentModel.DataAnnotations;
using Ledger.Core.Identity;

namespace Ledger.Api.Identity;

/// <summary>How users prove who they are: <c>Ledger__Identity__…</c>.</summary>
public sealed class IdentitySettings
{
    /// <summary>Rounds of PBKDF2 with HMAC-SHA-512 over a password. The default is OWASP's recommendation (Password Storage Cheat Sheet).</summary>
    [Range(1_000, 10_000_000)]
    public int PasswordIterations { get; set; } = PasswordHashing.Iterations;

    /// <summary>Seconds that an access token is valid; a refresh token gets the next one.</summary>
    [Range(2, 86_400)]
    public int AccessTokenSeconds { get; set; } = 900;

    /// <summary>Days after which a user logs in again, however often the session was refreshed (NIST SP 800-63B, section 4.1.3: 30).</summary>
    [Range(1, 365)]
    public int SessionDays { get; set; } = 30;

    /// <summary>Wrong passwords in a row before an address is locked for a while.</summary>
    [Range(1, 100)]
    public int MaxFailedLogins { get; set; } = 10;

    /// <summary>Seconds that it stays locked.</summary>
    [Range(1, 86_400)]
    public int LockoutSeconds { get; set; } = 60;
}
