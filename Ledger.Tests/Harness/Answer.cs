using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json;

namespace Ledger.Tests.Harness;

/// <summary>What the API answered, read to its end.</summary>
public sealed record Answer(int Status, HttpResponseHeaders Headers, string? ContentType, string Text)
{
    /// <summary>The body.</summary>
    public JsonElement Json => JsonElement.Parse(Text);

    /// <summary>A problem's code.</summary>
    public string? Code => Json.TryGetProperty("code", out var code) ? code.GetString() : null;

    /// <summary>The transaction that this is, or that a rejection names.</summary>
    public Guid TransactionId => Json.TryGetProperty("transactionId", out var id) ? id.GetGuid() : Json.GetProperty("id").GetGuid();

    /// <summary>A transaction's status.</summary>
    public string? TransactionStatus => Json.GetProperty("status").GetString();

    /// <summary>Where the transaction is, without the address.</summary>
    public string? Location => Headers.Location?.OriginalString;

    /// <summary>Whether this is the answer of an earlier request with the same key.</summary>
    public bool IsReplay => Headers.TryGetValues("Idempotency-Replayed", out var values) && values.Single() == "true";

    /// <summary>A property of the body as text.</summary>
    public string? this[string property] => Json.GetProperty(property).ToString();

    /// <summary>An amount of the body in major units.</summary>
    public decimal AmountOf(string property) => decimal.Parse(Json.GetProperty(property).GetString()!, CultureInfo.InvariantCulture);

    /// <summary>Itself, if it has the status and, for an error, the code; otherwise the test fails with all of it.</summary>
    public Answer MustBe(int status, string? code = null)
    {
        Assert.True(Status == status, $"Expected {status} {code}, got {Status}: {Text}");
        if (code is null)
            return this;

        // Every problem has these (RFC 9457, and the code that clients rely on).
        Assert.Equal("application/problem+json", ContentType);
        foreach (var field in (string[])["type", "title", "detail", "instance", "traceId"])
            Assert.False(string.IsNullOrEmpty(this[field]), $"A problem without {field}: {Text}");
        Assert.Equal(status, Json.GetProperty("status").GetInt32());
        Assert.Equal(code, Code);
        // RFC 9110, section 15.5.2.
        if (status == 401)
            Assert.Equal("Bearer", Assert.Single(Headers.WwwAuthenticate).Scheme);
        return this;
    }
}
