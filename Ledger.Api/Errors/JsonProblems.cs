using System.Collections;
using System.ComponentModel;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Http.Json;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Errors;

/// <summary>The problem of a body that cannot be read: which field does not fit, what was sent, and what the field takes.</summary>
internal static partial class JsonProblems
{
    public static ProblemHttpResult Malformed(HttpContext context) =>
        Problem.Of(context, StatusCodes.Status400BadRequest, "malformed_json", "The body is not a valid JSON object.");

    public static ProblemHttpResult Of(HttpContext context, JsonException json)
    {
        // A syntax error wraps the JSON reader's exception. A value that does not fit its field does not, and has a path below the root.
        if (json.InnerException is JsonException || json.Path is not { Length: > 2 } path)
            return Malformed(context);
        var name = path[1] == '.' ? path[2..] : path[1..];
        return Problem.Invalid(context, new Dictionary<string, string[]> { [name] = [ErrorOf(context, json, name)] });
    }

    private static string ErrorOf(HttpContext context, JsonException json, string name)
    {
        if (json.Message.StartsWith("Duplicate property", StringComparison.Ordinal))
            return "The field occurs more than once.";

        var fields = FieldsOf(context);
        var (root, isNested) = RootOf(name);
        if (fields.FirstOrDefault(field => field.Name.Equals(root, StringComparison.OrdinalIgnoreCase)) is not { } field)
            return $"The field is unknown. The request takes {string.Join(", ", fields.Select(known => known.Name))}.";

        var takes = $"The field takes {TakenBy(field.PropertyType, isNested)}.";
        var description = (field.AttributeProvider?.GetCustomAttributes(typeof(DescriptionAttribute), inherit: false).SingleOrDefault() as DescriptionAttribute)?.Description;
        return string.Join(' ', new[] { SentAs(json), takes, description }.Where(part => part is not null));
    }

    // The fields of the record that the endpoint reads. The exception handler has removed the endpoint from the request.
    private static IList<JsonPropertyInfo> FieldsOf(HttpContext context)
    {
        var options = context.RequestServices.GetRequiredService<IOptions<JsonOptions>>().Value.SerializerOptions;
        var endpoint = context.Features.Get<IExceptionHandlerFeature>()?.Endpoint;
        return endpoint?.Metadata.GetMetadata<IAcceptsMetadata>()?.RequestType is { } type ? options.GetTypeInfo(type).Properties : [];
    }

    // A path is a.b, a[0] or, where a name has other characters, ['a b'].
    private static (string Root, bool IsNested) RootOf(string path)
    {
        if (path.StartsWith("['", StringComparison.Ordinal) && path.IndexOf("']", StringComparison.Ordinal) is > 0 and var close)
            return (path[2..close], close + 2 < path.Length);
        var end = path.AsSpan().IndexOfAny('.', '[');
        return end < 0 ? (path, false) : (path[..end], true);
    }

    private static string TakenBy(Type type, bool isNested) =>
        isNested || type == typeof(string) ? "a string"
        : typeof(IDictionary).IsAssignableFrom(type) ? "an object of strings"
        : typeof(IEnumerable<string>).IsAssignableFrom(type) ? "an array of strings"
        : type == typeof(int?) ? "a whole number"
        : "another type";

    // The type of the JSON value is in the message of the inner exception only.
    private static string? SentAs(JsonException json) => TokenType().Match(json.InnerException?.Message ?? "").Groups["type"].Value switch
    {
        "Number" => "A number was sent.",
        "String" => "A string was sent.",
        "True" or "False" => "A boolean was sent.",
        "StartObject" => "An object was sent.",
        "StartArray" => "An array was sent.",
        "Null" => "Null was sent.",
        _ => null,
    };

    [GeneratedRegex("'(?<type>Number|String|True|False|StartObject|StartArray|Null)'", RegexOptions.CultureInvariant)]
    private static partial Regex TokenType();
}
