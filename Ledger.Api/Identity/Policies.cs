using Ledger.Core.Identity;
using Microsoft.AspNetCore.Authorization;

namespace Ledger.Api.Identity;

/// <summary>
/// Authorization policies: a scope that the credential must have, and for users a role. Each endpoint names one policy or allows
/// anonymous requests; a test checks this.
/// </summary>
public static class Policies
{
    /// <summary>Users, for their own login. No scope is needed.</summary>
    public const string User = "user";
    /// <summary>Users, for their own data, and service accounts, on behalf of users. Scope read.</summary>
    public const string Read = "read";
    /// <summary>Users, for their own money, and service accounts, on behalf of users. Scope transactions.</summary>
    public const string Move = "move";
    /// <summary>The callers of <see cref="Read"/>, and those of <see cref="Move"/> for the outcome of their commands.</summary>
    public const string ReadOrMove = "read or move";
    /// <summary>Operators and service accounts, who move everybody's money. Scope transactions.</summary>
    public const string MoveForOthers = "move for others";
    /// <summary>Operators, who administer. Scope admin.</summary>
    public const string Operator = "operator";
    /// <summary>Operators and service accounts, who create, change and close users. Scope users.</summary>
    public const string Users = "users";
    /// <summary>Operators and auditors, who read everything. Scope admin.</summary>
    public const string Staff = "staff";

    private static readonly Dictionary<string, Policy> s_policies = new()
    {
        [User] = new([], caller => caller.IsUser),
        [Read] = new([Scopes.Read], _ => true),
        [Move] = new([Scopes.Transactions], _ => true),
        [ReadOrMove] = new([Scopes.Read, Scopes.Transactions], _ => true),
        [MoveForOthers] = new([Scopes.Transactions], caller => !caller.IsUser || caller.IsOperator),
        [Operator] = new([Scopes.Admin], caller => caller.IsOperator),
        [Users] = new([Scopes.Users], caller => !caller.IsUser || caller.IsOperator),
        [Staff] = new([Scopes.Admin], caller => caller.Roles != CallerRoles.None),
    };

    public static void AddPolicies(this IServiceCollection services)
    {
        var builder = services.AddAuthorizationBuilder();
        foreach (var (name, policy) in s_policies)
        {
            builder.AddPolicy(name, requirements => requirements.RequireAuthenticatedUser().RequireAssertion(
                context => context.User.Identity is Caller caller && policy.IsFor(caller) && policy.IsAllowedBy(caller.Scopes)));
        }
    }

    /// <summary>The scopes of which a caller needs one at an endpoint and has none; empty if scopes are not what the caller lacks.</summary>
    public static IReadOnlyList<string> MissingScopes(Caller caller, Endpoint? endpoint)
    {
        foreach (var data in endpoint?.Metadata.GetOrderedMetadata<IAuthorizeData>() ?? [])
        {
            if (data.Policy is { } name && s_policies[name] is var policy && policy.IsFor(caller) && !policy.IsAllowedBy(caller.Scopes))
                return policy.ScopeNames;
        }
        return [];
    }

    /// <param name="scopeNames">One of them is enough; none are needed if there are none.</param>
    /// <param name="isFor">Whether a caller with enough scopes is allowed.</param>
    private sealed class Policy(string[] scopeNames, Func<Caller, bool> isFor)
    {
        private readonly CallerScopes _scopes = CallerExtensions.ParseScopes(scopeNames);

        public IReadOnlyList<string> ScopeNames => scopeNames;

        public bool IsFor(Caller caller) => isFor(caller);

        public bool IsAllowedBy(CallerScopes scopes) => scopeNames.Length == 0 || (scopes & _scopes) != CallerScopes.None;
    }
}
