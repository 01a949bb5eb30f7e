using Ledger.Api.Errors;
using Ledger.Api.Users;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Ledger.Api.Identity;

/// <summary>Who calls, and the user for whom it acts: for a user without a role, the same.</summary>
public readonly record struct Acting(Guid Caller, Guid User);

/// <summary><c>onBehalfOf</c>: the user for whom a service account, an operator or an auditor acts.</summary>
public sealed class OnBehalfOf(UserLookup users)
{
    /// <summary>The name of the field and of the parameter.</summary>
    public const string Name = "onBehalfOf";

    /// <summary>What a service account is told that names no user.</summary>
    public const string Required = "Is required from a service account: the user's id, e-mail address or external id.";

    private const string MayNotMove = "Only service accounts with scope transactions and operators act on behalf of a user.";

    /// <summary>For whom a request reads, or the problem that it has. Without <paramref name="text"/>, users read their own data.</summary>
    public ValueTask<(Acting Acting, ProblemHttpResult? Problem)> ReadAsync(HttpContext context, string? text) => ActAsync(
        context, text, context.Caller().ReadsForOthers, "Only service accounts with scope read, operators and auditors read on behalf of a user.");

    /// <summary>Whose accounts a request opens, changes or closes, or the problem that it has. Without <paramref name="text"/>, the caller's.</summary>
    public ValueTask<(Acting Acting, ProblemHttpResult? Problem)> ChangeAsync(HttpContext context, string? text) =>
        ActAsync(context, text, context.Caller().MovesForOthers, MayNotMove);

    /// <summary>The problem of a command of a caller who may not move money on behalf of users; null if there is none.</summary>
    public static ProblemHttpResult? RefuseMove(HttpContext context, string? text) =>
        text is null || context.Caller().MovesForOthers ? null : Forbidden(context, MayNotMove);

    private async ValueTask<(Acting Acting, ProblemHttpResult? Problem)> ActAsync(HttpContext context, string? text, bool mayActForOthers, string refusal)
    {
        var caller = context.Caller();
        if (text is null)
            return caller.IsUser ? (new(caller.Id, caller.Id), null) : (default, Invalid(context, Required));
        if (!mayActForOthers)
            return (default, Forbidden(context, refusal));
        if (UserLookup.ErrorOf(text) is { } error)
            return (default, Invalid(context, error));
        return await users.FindExistingAsync(text, context.RequestAborted) is { } user
            ? (new(caller.Id, user), null)
            : (default, Problem.Of(context, StatusCodes.Status404NotFound, "not_found", $"onBehalfOf: no user has the id, e-mail address or external id {Sent.Quoted(text)}."));
    }

    private static ProblemHttpResult Forbidden(HttpContext context, string detail) => Problem.Of(context, StatusCodes.Status403Forbidden, "forbidden", detail);

    private static ProblemHttpResult Invalid(HttpContext context, string error) => Problem.Invalid(context, new Dictionary<string, string[]> { [Name] = [error] });
}
