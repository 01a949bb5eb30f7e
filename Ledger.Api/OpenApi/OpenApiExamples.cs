using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Ledger.Api.Errors;
using Microsoft.OpenApi;

namespace Ledger.Api.OpenApi;

/// <summary>
/// The content of OpenApiExamples.json: for each operation its requests and responses, for each code a problem, and the parameters
/// and headers. A test sends the requests to the running system.
/// </summary>
internal static class OpenApiExamples
{
    private static readonly JsonObject s_data = Read();

    /// <summary>Adds examples and descriptions to the operation at <paramref name="path"/>.</summary>
    public static void AddTo(OpenApiOperation operation, string path)
    {
        var known = Find("operations", operation.OperationId!);
        foreach (var parameter in (operation.Parameters ?? []).OfType<OpenApiParameter>())
        {
            Describe(parameter, known?["parameters"]?[parameter.Name!]?.AsObject() ?? Find("parameters", parameter.Name!));
            if (parameter.In == ParameterLocation.Path)
                path = Regex.Replace(path, $$"""\{{{Regex.Escape(parameter.Name!)}}(:[^}]*)?\}""", parameter.Example?.ToString() ?? "");
        }

        var requests = known?["requests"]?.AsObject() ?? [];
        if (operation.RequestBody?.Content?["application/json"] is { } body && requests.Count > 0)
            body.Examples = Examples(requests!);

        foreach (var (status, response) in operation.Responses ?? [])
        {
            foreach (var (mediaType, content) in response.Content ?? new Dictionary<string, OpenApiMediaType>())
            {
                if (mediaType == "application/problem+json")
                {
                    content.Examples = Examples(CodesOf(known, status, operation.RequestBody is not null)
                        .Select(code => KeyValuePair.Create<string, JsonNode>(code, ProblemOf(code, path, known))));
                }
                else if (known?["responses"]?[$"{status} {mediaType}"] is { } file)
                {
                    content.Example = file.DeepClone();
                }
                else if (known?["responses"]?[status] is { } answer)
                {
                    content.Example = answer.DeepClone();
                }
                else if (status == "202" && known?["responses"]?["201"] is { } posted)
                {
                    content.Example = Pending(posted);
                }
            }
            AddHeaders(operation, (OpenApiResponse)response, status);
        }
    }

    private static void Describe(OpenApiParameter parameter, JsonObject? known)
    {
        if (known is null)
            return;
        parameter.Description ??= (string?)known["description"];
        // API explorers send the example of an optional parameter, so only path parameters have one.
        if (parameter.In == ParameterLocation.Path)
            parameter.Example = known["example"]?.DeepClone();
        if (parameter.Schema is OpenApiSchema schema)
        {
            schema.Format ??= (string?)known["format"];
            schema.Pattern ??= (string?)known["pattern"];
            if (known["enum"] is JsonArray names)
                schema.Enum = [.. names.Select(name => name!.DeepClone())];
        }
    }

    private static void AddHeaders(OpenApiOperation operation, OpenApiResponse response, string status)
    {
        var isCommand = operation.Parameters?.Any(parameter => parameter.Name == "Idempotency-Key") ?? false;
        foreach (var (name, header) in s_data["headers"]!.AsObject())
        {
            if (!header!["on"]!.AsArray().Any(on => (string?)on == status) || ((bool?)header["ofCommands"] == true && !isCommand))
                continue;
            response.Headers ??= new Dictionary<string, IOpenApiHeader>();
            response.Headers[name] = new OpenApiHeader
            {
                Description = (string?)header["description"],
                Schema = new OpenApiSchema { Type = JsonSchemaType.String, Format = (string?)header["format"] },
            };
        }
    }

    // The operation's own codes, or else the general ones of the status.
    private static IEnumerable<string> CodesOf(JsonObject? operation, string status, bool hasBody) =>
        operation?["problems"]?[status] is JsonArray own
            ? own.Select(code => (string)code!)
            : status switch
            {
                "400" => hasBody ? ["validation_failed", "malformed_json"] : ["validation_failed"],
                "401" => ["unauthenticated", "invalid_token"],
                "403" => ["forbidden"],
                "404" => ["not_found"],
                "429" => ["rate_limited"],
                "503" => ["unavailable"],
                _ => [],
            };

    private static JsonObject ProblemOf(string code, string path, JsonObject? operation)
    {
        var problem = new JsonObject { ["type"] = Problem.TypeOf(code), ["title"] = Problem.TitleOf(code) };
        foreach (var (name, value) in Find("problems", code) ?? throw new InvalidOperationException($"OpenApiExamples.json has no problem '{code}'."))
            problem[name] = value?.DeepClone();
        if (code == "validation_failed" && operation?["errors"] is { } errors)
            problem["errors"] = errors.DeepClone();
        problem["instance"] = path;
        problem["code"] = code;
        problem["traceId"] = "4bf92f3577b34da6a3ce929d0e0e4736";
        return problem;
    }

    private static JsonObject Pending(JsonNode posted)
    {
        var pending = posted.DeepClone().AsObject();
        pending["status"] = "pending";
        pending["postedAt"] = null;
        pending["effectiveAt"] = null;
        pending["entries"] = new JsonArray();
        return pending;
    }

    private static Dictionary<string, IOpenApiExample> Examples(IEnumerable<KeyValuePair<string, JsonNode>> named) =>
        named.ToDictionary(example => example.Key, IOpenApiExample (example) => new OpenApiExample { Value = example.Value.DeepClone() });

    private static JsonObject? Find(string section, string name) => s_data[section]![name]?.AsObject();

    private static JsonObject Read()
    {
        using var file = typeof(OpenApiExamples).Assembly.GetManifestResourceStream("OpenApiExamples.json")!;
        return JsonNode.Parse(file)!.AsObject();
    }
}
