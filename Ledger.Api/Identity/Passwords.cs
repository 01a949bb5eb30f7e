using Ledger.Core.Identity;
using Microsoft.AspNetCore.Identity;

namespace Ledger.Api.Identity;

/// <summary>What passwords may be (NIST SP 800-63B: length counts, composition does not).</summary>
public sealed class Passwords(IPasswordHasher<User> hasher)
{
    public const int MinLength = 8;
    public const int MaxLength = 128;

    private readonly string _nobodys = hasher.HashPassword(new User(), Guid.NewGuid().ToString());

    /// <summary>Spends the time that checking a password takes.</summary>
    public void Waste(string password) => hasher.VerifyHashedPassword(new User(), _nobodys, password);
}
