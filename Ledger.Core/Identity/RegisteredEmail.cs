using System.Diagnostics.CodeAnalysis;
using System.Net.Mail;

namespace Ledger.Core.Identity;

/// <summary>What counts as an e-mail address here.</summary>
public static class RegisteredEmail
{
    /// <summary>RFC 5321's limit on a path, without its brackets.</summary>
    public const int MaxLength = 254;

    /// <summary>A bare address of one local part and one domain; no display name, no comment, no blanks.</summary>
    public static bool IsEmail([NotNullWhen(true)] string? text) =>
        text is { Length: >= 3 and <= MaxLength }
        && !text.AsSpan().ContainsAnyInRange('\0', ' ')
        && MailAddress.TryCreate(text, out var address)
        && address.Address == text;

    /// <summary>An address in upper and in lower case has one normal form. Characters that only look alike stay different ones.</summary>
    public static string Normalize(string email) => email.ToUpperInvariant();
}
