using System.Reflection;
using System.Text.Json;
using Ledger.Api.Errors;

namespace Ledger.Api.Requests;

/// <summary>Unknown and repeated query parameters are refused, so that a typo does not silently select the default.</summary>
public static class QueryParameters
{
    /// <summary>The parameter that has a key in brackets, <c>metadata[key]</c>, and occurs once per key.</summary>
    public const string Metadata = "metadata";

    private static readonly string[] s_repeated = ["The parameter occurs more than once."];

    /// <summary>Known parameters are the strings that the handler takes and that are not part of the path.</summary>
    public static RouteGroupBuilder RefuseUnknownAndRepeatedParameters(this RouteGroupBuilder group)
    {
        ((IEndpointConventionBuilder)group).Add(endpoint =>
        {
            if (endpoint is not RouteEndpointBuilder { RequestDelegate: { } next } route || route.Metadata.OfType<MethodInfo>().FirstOrDefault() is not { } handler)
                return;
            var known = handler.GetParameters().SelectMany(StringsOf)
                .Except(route.RoutePattern.Parameters.Select(parameter => parameter.Name))
                .ToHashSet(StringComparer.OrdinalIgnoreCase);
            // Around the handler, so that authorization comes first.
            route.RequestDelegate = context => context.Request.QueryString.HasValue && ErrorsIn(context.Request.Query, known) is { Count: > 0 } errors
                ? Problem.Invalid(context, errors).ExecuteAsync(context)
                : next(context);
        });
        return group;
    }

    private static IEnumerable<string> StringsOf(ParameterInfo parameter) =>
        parameter.ParameterType == typeof(string) ? [parameter.Name!]
        : parameter.IsDefined(typeof(AsParametersAttribute))
            ? parameter.ParameterType.GetProperties().Where(property => property.PropertyType == typeof(string)).Select(property => property.Name)
        : [];

    /// <summary>The key of a parameter <c>name[key]</c>; null for another parameter.</summary>
    public static string? KeyOf(string parameter, string name) =>
        parameter.Length > name.Length + 1 && parameter.StartsWith(name, StringComparison.OrdinalIgnoreCase) && parameter[name.Length] == '[' && parameter[^1] == ']'
            ? parameter[(name.Length + 1)..^1]
            : null;

    private static Dictionary<string, string[]> ErrorsIn(IQueryCollection query, HashSet<string> known)
    {
        return query.Where(parameter => !IsKnown(parameter.Key) || parameter.Value.Count > 1)
            .ToDictionary(parameter => parameter.Key, parameter => IsKnown(parameter.Key) ? s_repeated : Unknown(known));

        bool IsKnown(string name) => known.Contains(name) || (known.Contains(Metadata) && KeyOf(name, Metadata) is not null);
    }

    private static string[] Unknown(HashSet<string> known) =>
    [
        known.Count == 0
            ? "The parameter is unknown. The request takes none."
            : $"The parameter is unknown. The request takes {string.Join(", ", known.Select(JsonNamingPolicy.CamelCase.ConvertName).Select(name => name == Metadata ? $"{name}[key]" : name))}.",
    ];
}
