using Microsoft.AspNetCore.Authorization;

namespace Ledger.Api.Identity;

/// <summary>Who may call an endpoint. Each endpoint names one of these, or is open to everybody; a test holds them to it.</summary>
public static class Policies
{
    /// <summary>A user, about what is its own.</summary>
    public const string User = "user";
    /// <summary>A user, or an operator's API key, which acts for one.</summary>
    public const string UserOrOperator = "user or operator";
    /// <summary>Whoever administers.</summary>
    public const string Operator = "operator";
    /// <summary>Whoever reads everything: operators and auditors.</summary>
    public const string Staff = "staff";

    public static void AddPolicies(this IServiceCollection services) => services.AddAuthorizationBuilder()
        .AddPolicy(User, policy => policy.RequireCaller(caller => caller.IsUser))
        .AddPolicy(UserOrOperator, policy => policy.RequireCaller(caller => caller.IsUser || caller.IsOperator))
        .AddPolicy(Operator, policy => policy.RequireCaller(caller => caller.IsOperator))
        .AddPolicy(Staff, policy => policy.RequireCaller(caller => caller.Roles != CallerRoles.None));

    private static void RequireCaller(this AuthorizationPolicyBuilder policy, Func<Caller, bool> isAllowed) =>
        policy.RequireAuthenticatedUser().RequireAssertion(context => context.User.Identity is Caller caller && isAllowed(caller));
}
