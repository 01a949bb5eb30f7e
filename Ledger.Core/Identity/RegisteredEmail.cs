using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net.Mail;
using System.Text;
using Npgsql;

namespace Ledger.Core.Identity;

/// <summary>
/// E-mail addresses as the ledger accepts, stores and compares them. Two addresses that differ in letter case, in the way that a
/// character is composed, or in compatibility forms such as full width belong to one user.
/// </summary>
public static class RegisteredEmail
{
    /// <summary>RFC 5321's limit on a path, without its brackets.</summary>
    public const int MaxLength = 254;

    // Default_Ignorable_Code_Point of the Unicode Character Database (UAX #44), as far as the general category does not tell.
    private static readonly (int First, int Last)[] s_ignorable =
    [
        (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0000, 0xE0FFF),
    ];

    /// <summary>A bare address of one local part and one domain; no display name, no comment, no blanks, and no invisible character.</summary>
    public static bool IsEmail([NotNullWhen(true)] string? text) =>
        text is { Length: >= 3 and <= MaxLength }
        && !HasInvisible(text)
        && MailAddress.TryCreate(text, out var address)
        && address.Address == text;

    /// <summary>
    /// The address in Normalization Form KC (UAX #15), as it is stored. The result is not an address where a character became a blank
    /// or a sign, so check it again before it is registered.
    /// </summary>
    // PostgreSQL normalizes, because .NET does not without ICU. ASCII, which nearly all addresses are, is in the form already. Text with
    // invisible characters is no address, and PostgreSQL would refuse NUL.
    public static ValueTask<string> CanonicalAsync(NpgsqlDataSource database, string email, CancellationToken cancellationToken) =>
        Ascii.IsValid(email) || HasInvisible(email) ? ValueTask.FromResult(email) : new(NormalizeAsync(database, email, cancellationToken));

    /// <summary>The key by which an address is found and compared.</summary>
    public static async ValueTask<string> KeyAsync(NpgsqlDataSource database, string email, CancellationToken cancellationToken) =>
        KeyOf(await CanonicalAsync(database, email, cancellationToken));

    /// <summary>The key of an address that <see cref="CanonicalAsync"/> returned.</summary>
    // First in lower case: letters such as the capital sharp s have a lower case, and no upper case that leads back to it.
    public static string KeyOf(string canonical) => canonical.ToLowerInvariant().ToUpperInvariant();

    private static async Task<string> NormalizeAsync(NpgsqlDataSource database, string email, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand("select normalize($1, NFKC)");
        command.Parameters.Add(new() { Value = email });
        return (string)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    private static bool HasInvisible(string text)
    {
        foreach (var rune in text.EnumerateRunes())
        {
            // The replacement character stands for half a surrogate pair.
            if (rune == Rune.ReplacementChar || Array.Exists(s_ignorable, range => rune.Value >= range.First && rune.Value <= range.Last))
                return true;
            // Unassigned ones too: a later version of Unicode may give them a normal form.
            if (Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.OtherNotAssigned
                or UnicodeCategory.PrivateUse or UnicodeCategory.SpaceSeparator or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator)
                return true;
        }
        return false;
    }
}
