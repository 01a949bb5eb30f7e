namespace Ledger.Api.Errors;

/// <summary>What a client sent, as validation messages repeat it.</summary>
internal static class Sent
{
    private const int MaxLength = 40;

    /// <summary>The text in quotes, shortened.</summary>
    public static string Quoted(string text) => text.Length <= MaxLength ? $"\"{text}\"" : $"\"{text[..MaxLength]}…\"";

    /// <summary>The error of a text with a limit; null if it fits. The control characters below U+0020 have no use, and PostgreSQL cannot store NUL.</summary>
    public static string? TextError(string text, int maxLength) =>
        text.Length > maxLength ? $"Has {text.Length} characters. Must be text of at most {maxLength} characters."
        : IsText(text) ? null
        : $"Has control characters. Must be text of at most {maxLength} characters.";

    /// <summary>Whether the text has no control characters below U+0020.</summary>
    public static bool IsText(string text) => !text.AsSpan().ContainsAnyInRange('\0', '\x1f');
}
