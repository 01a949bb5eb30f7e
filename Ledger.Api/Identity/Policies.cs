using Microsoft.AspNetCore.Authorization;

namespace Ledger.Api.Identity;

/// <summary>Authorization policies. Each endpoint names one of them or allows anonymous requests; a test checks this.</summary>
public static class Policies
{
    /// <summary>Users, for their own resources.</summary>
    public const string User = "user";
    /// <summary>Users, and operators' API keys, which act on behalf of users.</summary>
    public const string UserOrOperator = "user or operator";
    /// <summary>Operators, who administer.</summary>
    public const string Operator = "operator";
    /// <summary>Operators, who make, change and close users as resources.</summary>
    public const string Users = "users";
    /// <summary>Operators and auditors, who read everything.</summary>
    public const string Staff = "staff";
    /// <summary>Users, for their own resources, and operators, auditors and their API keys, who read everything.</summary>
    public const string UserOrStaff = "user or staff";

    public static void AddPolicies(this IServiceCollection services) => services.AddAuthorizationBuilder()
        .AddPolicy(User, policy => policy.RequireCaller(caller => caller.IsUser))
        .AddPolicy(UserOrOperator, policy => policy.RequireCaller(caller => caller.IsUser || caller.IsOperator))
        .AddPolicy(Operator, policy => policy.RequireCaller(caller => caller.IsOperator))
        .AddPolicy(Users, policy => policy.RequireCaller(caller => caller.IsOperator))
        .AddPolicy(Staff, policy => policy.RequireCaller(caller => caller.Roles != CallerRoles.None))
        .AddPolicy(UserOrStaff, policy => policy.RequireCaller(caller => caller.IsUser || caller.Roles != CallerRoles.None));

    private static void RequireCaller(this AuthorizationPolicyBuilder policy, Func<Caller, bool> isAllowed) =>
        policy.RequireAuthenticatedUser().RequireAssertion(context => context.User.Identity is Caller caller && isAllowed(caller));
}
