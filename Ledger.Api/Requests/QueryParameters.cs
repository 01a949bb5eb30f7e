using System.Reflection;
using System.Text.Json;
using Ledger.Api.Errors;

namespace Ledger.Api.Requests;

/// <summary>Unknown and repeated query parameters are refused, so that a typo does not silently select the default.</summary>
public static class QueryParameters
{
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

    private static Dictionary<string, string[]> ErrorsIn(IQueryCollection query, HashSet<string> known) =>
        query.Where(parameter => !known.Contains(parameter.Key) || parameter.Value.Count > 1)
            .ToDictionary(parameter => parameter.Key, parameter => known.Contains(parameter.Key) ? s_repeated : Unknown(known));

    private static string[] Unknown(HashSet<string> known) =>
    [
        known.Count == 0
            ? "The parameter is unknown. The request takes none."
            : $"The parameter is unknown. The request takes {string.Join(", ", known.Select(JsonNamingPolicy.CamelCase.ConvertName))}.",
    ];
}
