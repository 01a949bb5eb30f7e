using System.Collections.Frozen;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Identity;

namespace Ledger.Api.Identity;

/// <summary>
/// What passwords may be, by NIST SP 800-63B, section 3.1.1.2: length counts, composition does not, and what everybody tries
/// first is refused.
/// </summary>
public sealed class Passwords(IPasswordHasher<User> hasher)
{
    public const int MinLength = 8;
    public const int MaxLength = 128;

    private const string Product = "ledger";

    private static readonly FrozenSet<string> s_common = ReadCommon();

    private readonly string _nobodys = hasher.HashPassword(new User(), Guid.NewGuid().ToString());

    /// <summary>What is wrong with a password for the user of an address; null if nothing is.</summary>
    public static string? ErrorOf(string? password, string? email)
    {
        if (password is not { Length: >= MinLength and <= MaxLength })
            return $"Must have {MinLength} to {MaxLength} characters.";
        return IsCommon(password) || IsOf(password, email) || IsOf(password, Product)
            ? "Is among the first that somebody would try. Take another one: a few words that do not belong together do well."
            : null;
    }

    /// <summary>Spends the time that checking a password takes.</summary>
    public PasswordVerificationResult Waste(string password) => hasher.VerifyHashedPassword(new User(), _nobodys, password);

    private static bool IsCommon(string password) => s_common.Contains(password) || IsRepetition(password) || IsSequence(password);

    // One part again and again: aaaaaaaa, abcabcabc.
    private static bool IsRepetition(string password)
    {
        for (var part = 1; part <= 3; part++)
        {
            if (password.AsSpan(part).SequenceEqual(password.AsSpan(0, password.Length - part)))
                return true;
        }
        return false;
    }

    // 12345678, hgfedcba.
    private static bool IsSequence(string password)
    {
        var step = password[1] - password[0];
        if (step is not (1 or -1))
            return false;
        for (var i = 2; i < password.Length; i++)
        {
            if (password[i] - password[i - 1] != step)
                return false;
        }
        return true;
    }

    // The address, the name in it, or the product, with nothing around it but digits and signs.
    private static bool IsOf(string password, string? text)
    {
        if (string.IsNullOrEmpty(text))
            return false;
        var name = text.Split('@')[0];
        var core = password.AsSpan().Trim("0123456789!?.,-_#$*+ ");
        return password.Equals(text, StringComparison.OrdinalIgnoreCase)
            || password.Equals(name, StringComparison.OrdinalIgnoreCase)
            || core.Equals(name, StringComparison.OrdinalIgnoreCase);
    }

    private static FrozenSet<string> ReadCommon()
    {
        using var file = typeof(Passwords).Assembly.GetManifestResourceStream("CommonPasswords.txt")!;
        using var reader = new StreamReader(file);
        return reader.ReadToEnd().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).ToFrozenSet(StringComparer.OrdinalIgnoreCase);
    }
}
