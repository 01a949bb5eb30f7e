using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Ledger.Core.Transactions;

namespace Ledger.Cli.Export;

/// <summary>
/// A line of an export: a JSON object whose <c>type</c> says what it is. Amounts are decimal strings in major units, times are UTC.
/// <c>docs/export.md</c> describes every field.
/// </summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(ExportLine), "export")]
[JsonDerivedType(typeof(CurrencyLine), "currency")]
[JsonDerivedType(typeof(PeriodLine), "period")]
[JsonDerivedType(typeof(UserLine), "user")]
[JsonDerivedType(typeof(AccountLine), "account")]
[JsonDerivedType(typeof(TransactionLine), "transaction")]
[JsonDerivedType(typeof(KeyLine), "key")]
[JsonDerivedType(typeof(EndLine), "end")]
internal abstract record Line
{
    private static readonly JsonTypeInfo<Line> s_type = (JsonTypeInfo<Line>)new JsonSerializerOptions(ExportJson.Default.Options)
    {
        // The file is no HTML: letters stay readable.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    }.GetTypeInfo(typeof(Line));

    /// <exception cref="JsonException">The text is not a line of an export.</exception>
    public static Line Parse(ReadOnlySpan<byte> text) => JsonSerializer.Deserialize(text, s_type) ?? throw new JsonException("The line is null.");

    /// <summary>The line as UTF-8, without the line feed.</summary>
    public byte[] Write() => JsonSerializer.SerializeToUtf8Bytes(this, s_type);
}

/// <summary>The first line of a section, which ends with an <see cref="EndLine"/>. A file that was exported several times has several.</summary>
/// <param name="After">The sequence after which the section's transactions begin.</param>
/// <param name="Through">The sequence of the section's last transaction.</param>
internal sealed record ExportLine(long After, long Through, int Format = ExportLine.CurrentFormat) : Line
{
    public const int CurrentFormat = 1;
}

/// <param name="Settlement">The ids of the settlement account's shards, in order.</param>
/// <param name="Exchange">The ids of the exchange account's shards, in order.</param>
internal sealed record CurrencyLine(string Code, string Name, int Exponent, bool Enabled = true, Guid[]? Settlement = null, Guid[]? Exchange = null) : Line;

/// <summary>Until when the books are closed.</summary>
internal sealed record PeriodLine(DateTime ClosedUntil) : Line;

internal sealed record UserLine : Line
{
    public required Guid Id { get; init; }
    public string? ExternalId { get; init; }
    public string? Email { get; init; }
    public string? Name { get; init; }
    public JsonText? Metadata { get; init; }
    /// <summary>Logins at OpenID Connect providers.</summary>
    public LoginPart[]? Logins { get; init; }
    public DateTime? CreatedAt { get; init; }
    public DateTime? FrozenAt { get; init; }
    public DateTime? ClosedAt { get; init; }
}

internal sealed record LoginPart(string Provider, string Subject);

/// <summary>An account of a user or of the house. Shards stand in <see cref="CurrencyLine"/>.</summary>
// What has a default is set, not init: the generated reader gives an init property that is absent null.
internal sealed record AccountLine : Line
{
    public required Guid Id { get; init; }
    public required string Kind { get; init; }
    public Guid? OwnerId { get; init; }
    public required string Name { get; init; }
    public required string Currency { get; init; }
    public string Status { get; set; } = "open";
    public string CreditLimit { get; set; } = "0";
    public JsonText? Metadata { get; init; }
    public DateTime? OpenedAt { get; init; }
}

/// <summary>A decided transaction with everything that its digest covers.</summary>
internal sealed record TransactionLine : Line
{
    public long? Sequence { get; init; }
    public required Guid Id { get; init; }
    public required string Kind { get; init; }
    public TransactionStatus Status { get; set; } = TransactionStatus.Posted;
    public Guid? PrincipalId { get; init; }
    public Guid? OwnerId { get; init; }
    public Guid? RecipientId { get; init; }
    public string? Currency { get; init; }
    public string? Amount { get; init; }
    public string? Reference { get; init; }
    public JsonText? Metadata { get; init; }
    public JsonText? Details { get; init; }
    public DateTime? CreatedAt { get; init; }
    public required DateTime DecidedAt { get; init; }
    public DateTime? EffectiveAt { get; init; }
    public Guid? Reverses { get; init; }
    public Guid? HoldId { get; init; }
    public RejectionPart? Rejection { get; init; }
    public string? Failure { get; init; }
    public EntryPart[] Entries { get; set; } = [];
    /// <summary>SHA-256 over the canonical form, in hexadecimal digits.</summary>
    public string? Digest { get; init; }
}

/// <param name="Currency">The currency of <paramref name="Available"/>.</param>
internal sealed record RejectionPart(string Code, int? Index = null, string? Currency = null, string? Available = null);

/// <param name="AccountId">Null for the world outside: one of the currency's settlement shards.</param>
/// <param name="BalanceAfter">Null on shards, and where the import computes it.</param>
internal sealed record EntryPart(string Currency, string Amount, Guid? AccountId = null, string? BalanceAfter = null);

/// <summary>An idempotency key and the transaction that it stands for.</summary>
internal sealed record KeyLine(Guid PrincipalId, string Key, byte[] RequestHash, Guid TransactionId) : Line;

/// <summary>The last line of a section.</summary>
/// <param name="Digest">The digest of the transaction at <paramref name="Through"/>; null if there is none.</param>
internal sealed record EndLine(long Through, string? Digest = null) : Line;

/// <summary>JSON that stays as it is, character by character, because a transaction's digest is over its text.</summary>
[JsonConverter(typeof(JsonTextConverter))]
internal sealed record JsonText(string Text)
{
    public static JsonText? Of(string? text) => text is null ? null : new(text);
}

/// <summary>Text with line breaks, which no client's JSON becomes, is written as a JSON string.</summary>
internal sealed class JsonTextConverter : JsonConverter<JsonText>
{
    public override JsonText Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        new(reader.TokenType == JsonTokenType.String ? reader.GetString()! : JsonElement.ParseValue(ref reader).GetRawText());

    public override void Write(Utf8JsonWriter writer, JsonText value, JsonSerializerOptions options)
    {
        if (value.Text.AsSpan().ContainsAny('\n', '\r') || !value.Text.StartsWith('{'))
            writer.WriteStringValue(value.Text);
        else
            writer.WriteRawValue(value.Text);
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    AllowDuplicateProperties = false,
    AllowOutOfOrderMetadataProperties = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(Line))]
internal sealed partial class ExportJson : JsonSerializerContext;
