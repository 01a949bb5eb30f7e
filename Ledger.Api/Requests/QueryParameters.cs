using System.Reflection;
using Ledger.Api.Errors;

namespace Ledger.Api.Requests;

/// <summary>
/// A query parameter that is not known, or is there more than once, is refused, as a field of a body is: a slip of the pen would
/// otherwise be a default in disguise.
/// </summary>
public static class QueryParameters
{
    private static readonly string[] s_unknown = ["This parameter is unknown."];
    private static readonly string[] s_repeated = ["This parameter is there more than once."];

    /// <summary>What an endpoint knows is what its handler takes as a string and the path does not have.</summary>
    public static RouteGroupBuilder RefuseUnknownAndRepeatedParameters(this RouteGroupBuilder group)
    {
        ((IEndpointConventionBuilder)group).Add(endpoint =>
        {
            if (endpoint is not RouteEndpointBuilder { RequestDelegate: { } next } route || route.Metadata.OfType<MethodInfo>().FirstOrDefault() is not { } handler)
                return;
            var known = handler.GetParameters().Where(parameter => parameter.ParameterType == typeof(string)).Select(parameter => parameter.Name!)
                .Except(route.RoutePattern.Parameters.Select(parameter => parameter.Name))
                .ToHashSet(StringComparer.OrdinalIgnoreCase);
            // Around the handler, and not before it: who may not ask at all is told so first.
            route.RequestDelegate = context => context.Request.QueryString.HasValue && ErrorsIn(context.Request.Query, known) is { Count: > 0 } errors
                ? Problem.Invalid(context, errors).ExecuteAsync(context)
                : next(context);
        });
        return group;
    }

    private static Dictionary<string, string[]> ErrorsIn(IQueryCollection query, HashSet<string> known) =>
        query.Where(parameter => !known.Contains(parameter.Key) || parameter.Value.Count > 1)
            .ToDictionary(parameter => parameter.Key, parameter => known.Contains(parameter.Key) ? s_repeated : s_unknown);
}
