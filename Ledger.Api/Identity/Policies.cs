using Microsoft.AspNetCore.Authorization;

namespace Ledger.Api.Identity;

/// <summary>Authorization policies. Each endpoint names one of them or allows anonymous requests; a test checks this.</summary>
public static class Policies
{
    /// <summary>Users, for their own resources.</summary>
    public const string User = "user";
    /// <summary>Users, for their own data, and service accounts with scope read, on behalf of users.</summary>
    public const string Read = "read";
    /// <summary>Users, for their own money, and service accounts with scope transactions, on behalf of users.</summary>
    public const string Move = "move";
    /// <summary>The callers of <see cref="Read"/>, and those of <see cref="Move"/> for the outcome of their commands.</summary>
    public const string ReadOrMove = "read or move";
    /// <summary>Operators and service accounts with scope transactions, who move everybody's money.</summary>
    public const string MoveForOthers = "move for others";
    /// <summary>Operators, who administer.</summary>
    public const string Operator = "operator";
    /// <summary>Operators and service accounts with scope users, who create, change and close users.</summary>
    public const string Users = "users";
    /// <summary>Operators and auditors, who read everything.</summary>
    public const string Staff = "staff";

    public static void AddPolicies(this IServiceCollection services) => services.AddAuthorizationBuilder()
        .AddPolicy(User, policy => policy.RequireCaller(caller => caller.IsUser))
        .AddPolicy(Read, policy => policy.RequireCaller(caller => caller.IsUser || caller.ReadsForOthers))
        .AddPolicy(Move, policy => policy.RequireCaller(caller => caller.IsUser || caller.MovesForOthers))
        .AddPolicy(ReadOrMove, policy => policy.RequireCaller(caller => caller.IsUser || caller.ReadsForOthers || caller.MovesForOthers))
        .AddPolicy(MoveForOthers, policy => policy.RequireCaller(caller => caller.MovesForOthers))
        .AddPolicy(Operator, policy => policy.RequireCaller(caller => caller.IsOperator))
        .AddPolicy(Users, policy => policy.RequireCaller(caller => caller.ManagesUsers))
        .AddPolicy(Staff, policy => policy.RequireCaller(caller => caller.Roles != CallerRoles.None));

    private static void RequireCaller(this AuthorizationPolicyBuilder policy, Func<Caller, bool> isAllowed) =>
        policy.RequireAuthenticatedUser().RequireAssertion(context => context.User.Identity is Caller caller && isAllowed(caller));
}
