using Microsoft.Net.Http.Headers;

namespace Ledger.Api.Requests;

/// <summary>Removes the quotes from <c>charset="utf-8"</c>, which RFC 9110, section 5.6.6, allows and the framework does not know.</summary>
public static class QuotedCharsets
{
    private const string Utf8 = "utf-8";

    public static void UseQuotedCharsets(this WebApplication app) => app.Use(next => context =>
    {
        if (context.Request.ContentType?.Contains('"') == true
            && MediaTypeHeaderValue.TryParse(context.Request.ContentType, out var type) && type.Charset.HasValue
            && HeaderUtilities.UnescapeAsQuotedString(type.Charset).Equals(Utf8, StringComparison.OrdinalIgnoreCase))
        {
            type.Charset = Utf8;
            context.Request.ContentType = type.ToString();
        }
        return next(context);
    });
}
