using System.Collections.Frozen;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Identity;

namespace Ledger.Api.Identity;

/// <summary>
/// The rules for passwords, by NIST SP 800-63B, section 3.1.1.2: a minimum length, no rules of composition, and no common
/// passwords.
/// </summary>
public sealed class Passwords(IPasswordHasher<User> hasher)
{
    public const int MinLength = 8;
    public const int MaxLength = 128;

    private const string Product = "ledger";

    private static readonly FrozenSet<string> s_common = ReadCommon();

    private readonly string _unusedHash = hasher.HashPassword(new User(), Guid.NewGuid().ToString());

    /// <summary>The error of a password for the user with this e-mail address; null if the password is acceptable.</summary>
    public static string? ErrorOf(string? password, string? email)
    {
        if (string.IsNullOrEmpty(password))
            return $"Is required: {MinLength} to {MaxLength} characters.";
        if (password is not { Length: >= MinLength and <= MaxLength })
            return $"Has {password.Length} characters. Must have {MinLength} to {MaxLength}.";
        return IsCommon(password) || IsOf(password, email) || IsOf(password, Product)
            ? "Is too easy to guess. Use another one, such as a few unrelated words."
            : null;
    }

    /// <summary>Takes as long as a check of a password, so that the time does not show whether a user exists.</summary>
    public PasswordVerificationResult Waste(string password) => hasher.VerifyHashedPassword(new User(), _unusedHash, password);

    private static bool IsCommon(string password) => s_common.Contains(password) || IsRepetition(password) || IsSequence(password);

    // Repetitions of one to three characters: aaaaaaaa, abcabcabc.
    private static bool IsRepetition(string password)
    {
        for (var part = 1; part <= 3; part++)
        {
            if (password.AsSpan(part).SequenceEqual(password.AsSpan(0, password.Length - part)))
                return true;
        }
        return false;
    }

    // Consecutive characters: 12345678, hgfedcba.
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

    // The e-mail address, its local part or the product's name, with only digits and punctuation around it.
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
