using System.ComponentModel;
using Ledger.Api.Audit;
using Ledger.Api.Errors;
using Ledger.Api.Limits;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Identity;
using Npgsql;

namespace Ledger.Api.Identity;

/// <summary>Registration, login, sessions and passwords.</summary>
public static class IdentityEndpoints
{
    public static void MapIdentity(this IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/identity").WithTags("Identity");

        var open = group.MapGroup("").AllowAnonymous().RequireRateLimiting(RateLimits.PerAddress)
            .ProducesProblem(StatusCodes.Status429TooManyRequests);
        open.MapPost("/register", RegisterAsync).WithName("Register")
            .WithSummary("Register a user")
            .WithDescription("The password has 8 to 128 characters of any kind and must not be easy to guess. 409 `email_taken` if the e-mail address is registered.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status409Conflict);
        open.MapPost("/login", LoginAsync).WithName("Login")
            .WithSummary("Log in: get an access token and a refresh token")
            .WithDescription("Send the access token as `Authorization: Bearer …`. 401 `invalid_credentials` for a wrong e-mail address or password, 429 after repeated failures, 403 `forbidden` for a frozen user.")
            .ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status403Forbidden);
        open.MapPost("/refresh", RefreshAsync).WithName("Refresh")
            .WithSummary("Exchange a refresh token for the next pair of tokens")
            .WithDescription("Each refresh token yields the next one; the same token again within 30 s, because the answer was lost or two tabs refresh at once, yields the same one. Later use ends its session: 401 `invalid_token`, also for the session's access tokens.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status401Unauthorized);

        var own = group.MapGroup("").RequireAuthorization(Policies.User)
            .ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status403Forbidden).ProducesProblem(StatusCodes.Status429TooManyRequests);
        own.MapPost("/logout", LogoutAsync).RequireRateLimiting(RateLimits.PerUser).WithName("Logout")
            .WithSummary("Log out of one session or of all")
            .WithDescription("Ends the session of the refresh token, or without a body all of the caller's sessions. Their access tokens are refused within seconds. 401 `invalid_token` if that ends no session: the token is unknown, spent or another user's.");
        own.MapPost("/password", ChangePasswordAsync).RequireRateLimiting(RateLimits.PerAddress).WithName("ChangePassword")
            .WithSummary("Change the password")
            .WithDescription("Ends all other sessions of the caller. 401 `invalid_credentials` if the current password is wrong, which counts as a failed login.")
            .ProducesProblem(StatusCodes.Status400BadRequest);
        own.MapGet("/me", MeAsync).RequireRateLimiting(RateLimits.PerUser).WithName("Me")
            .WithSummary("Get the caller");
    }

    private static async Task<Results<Created<RegisterResponse>, ProblemHttpResult>> RegisterAsync(
        RegisterRequest request, HttpContext context, UserManager<User> users, NpgsqlDataSource database)
    {
        var errors = new Dictionary<string, string[]>();
        var email = request.Email is null ? null : await RegisteredEmail.CanonicalAsync(database, request.Email, context.RequestAborted);
        if (!RegisteredEmail.IsEmail(email))
            errors["email"] = [string.IsNullOrEmpty(request.Email) ? "Is required: an e-mail address." : NotAnEmail(request.Email)];
        if (Passwords.ErrorOf(request.Password, request.Email) is { } error)
            errors["password"] = [error];
        if (errors.Count > 0)
            return Problem.Invalid(context, errors);

        var user = new User { Id = Guid.CreateVersion7(), UserName = email, Email = email };
        IdentityResult result;
        try
        {
            result = await users.CreateAsync(user, request.Password!);
        }
        catch (Microsoft.EntityFrameworkCore.DbUpdateException e) when (e.InnerException is PostgresException { SqlState: PostgresErrorCodes.UniqueViolation })
        {
            // Another request registered the e-mail address after the check.
            return EmailTaken(context);
        }
        if (result.Succeeded)
        {
            IdentityMetrics.CountRegistration();
            return TypedResults.Created($"{context.Request.PathBase}/api/v1/identity/me", new RegisterResponse(user.Id));
        }
        return result.Errors.Any(e => e.Code is nameof(IdentityErrorDescriber.DuplicateUserName) or nameof(IdentityErrorDescriber.DuplicateEmail))
            ? EmailTaken(context)
            : Problem.Invalid(context, new Dictionary<string, string[]> { ["password"] = [.. result.Errors.Select(e => e.Description)] });
    }

    internal static string NotAnEmail(string sent) => $"{Sent.Quoted(sent)} is not an e-mail address, or has blanks or invisible characters.";

    internal static ProblemHttpResult EmailTaken(HttpContext context) =>
        Problem.Of(context, StatusCodes.Status409Conflict, "email_taken", "The e-mail address is registered already.");

    private static async Task<Results<Ok<TokenResponse>, ProblemHttpResult>> LoginAsync(
        LoginRequest request, HttpContext context, LoginAttempts attempts, Sessions sessions)
    {
        if (!RegisteredEmail.IsEmail(request.Email) || request.Password is not { Length: <= Passwords.MaxLength })
        {
            IdentityMetrics.CountLogin("failed");
            return InvalidCredentials(context);
        }

        var attempt = await attempts.CheckAsync(context, request.Email, request.Password);
        if (attempt.Outcome != LoginOutcome.Succeeded)
            return Refused(context, attempt);
        var tokens = await sessions.OpenAsync(context, attempt.User!.Value, attempt.PasswordHash!);
        if (tokens is null)
            return Refused(context, new LoginAttempt(LoginOutcome.Failed));
        IdentityMetrics.CountLogin("succeeded");
        return TypedResults.Ok(tokens);
    }

    private static ProblemHttpResult Refused(HttpContext context, LoginAttempt attempt)
    {
        switch (attempt.Outcome)
        {
            case LoginOutcome.Locked:
                IdentityMetrics.CountLogin("locked_out");
                context.Response.Headers.RetryAfter = Math.Max(1, (int)Math.Ceiling(attempt.RetryAfter.GetValueOrDefault().TotalSeconds))
                    .ToString(System.Globalization.CultureInfo.InvariantCulture);
                return Problem.Of(context, StatusCodes.Status429TooManyRequests, "rate_limited", "Too many failed logins. Retry after the time in Retry-After.");
            case LoginOutcome.Frozen:
                // Only shown to a client that knows the password.
                IdentityMetrics.CountLogin("frozen");
                return Problem.Of(context, StatusCodes.Status403Forbidden, "forbidden", "The user is frozen.");
            default:
                IdentityMetrics.CountLogin("failed");
                return InvalidCredentials(context);
        }
    }

    private static ProblemHttpResult InvalidCredentials(HttpContext context) =>
        Problem.Of(context, StatusCodes.Status401Unauthorized, "invalid_credentials", "The e-mail address or the password is wrong.");

    private static async Task<Results<Ok<TokenResponse>, ProblemHttpResult>> RefreshAsync(RefreshRequest request, HttpContext context, Sessions sessions)
    {
        if (string.IsNullOrEmpty(request.RefreshToken))
            return Problem.Invalid(context, new Dictionary<string, string[]> { ["refreshToken"] = ["Is required."] });
        return await sessions.RefreshAsync(context, request.RefreshToken) is { } tokens
            ? TypedResults.Ok(tokens)
            : Problem.Of(context, StatusCodes.Status401Unauthorized, "invalid_token", "The refresh token is unknown or spent, or its session has ended. Log in again.");
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> LogoutAsync(LogoutRequest? request, HttpContext context, Sessions sessions)
    {
        if (request?.RefreshToken is not { } refreshToken)
            await sessions.CloseAllAsync(context);
        else if (!await sessions.CloseAsync(context, refreshToken))
            return Problem.Of(context, StatusCodes.Status401Unauthorized, "invalid_token", "The refresh token is unknown, spent or another user's, or its session has ended. No session was ended.");
        return TypedResults.NoContent();
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> ChangePasswordAsync(
        PasswordRequest request, HttpContext context, UserManager<User> users, LoginAttempts attempts, Sessions sessions, IPasswordHasher<User> hasher)
    {
        var caller = context.Caller();
        if (await users.FindByIdAsync(caller.Id.ToString()) is not { Email: { } email } user)
            return Problem.NotFound(context);
        var errors = new Dictionary<string, string[]>();
        if (request.CurrentPassword is not { Length: > 0 and <= Passwords.MaxLength })
            errors["currentPassword"] = [string.IsNullOrEmpty(request.CurrentPassword) ? "Is required." : $"Has more than {Passwords.MaxLength} characters."];
        if (Passwords.ErrorOf(request.NewPassword, email) is { } error)
            errors["newPassword"] = [error];
        if (errors.Count > 0)
            return Problem.Invalid(context, errors);

        var attempt = await attempts.CheckAsync(context, email, request.CurrentPassword!);
        if (attempt.Outcome != LoginOutcome.Succeeded)
            return Refused(context, attempt);
        // One transaction: a session that the old password opened must not outlive it.
        var isChanged = await sessions.CloseAllAfterAsync(
            caller.Id, caller.SessionId,
            new NpgsqlBatchCommand("update identity.users set password_hash = $2, security_stamp = $3 where id = $1 and password_hash = $4")
            {
                Parameters =
                {
                    new() { Value = caller.Id },
                    new() { Value = hasher.HashPassword(user, request.NewPassword!) },
                    new() { Value = Guid.NewGuid().ToString() },
                    new() { Value = attempt.PasswordHash! },
                },
            },
            AuditTrail.Entry(context, AuditActions.PasswordChanged, caller.Id.ToString()));
        return isChanged ? TypedResults.NoContent() : Refused(context, new LoginAttempt(LoginOutcome.Failed));
    }

    private static async Task<Results<Ok<MeResponse>, UnauthorizedHttpResult>> MeAsync(HttpContext context, UserManager<User> users)
    {
        var user = await users.FindByIdAsync(context.Caller().Id.ToString());
        return user is null
            ? TypedResults.Unauthorized()
            : TypedResults.Ok(new MeResponse(user.Id, user.Email, ["user", .. await users.GetRolesAsync(user)]));
    }
}

public sealed record RegisterRequest(
    [property: Description("The e-mail address to log in with.")] string? Email,
    [property: Description("8 to 128 characters, not easy to guess.")] string? Password);

public sealed record RegisterResponse(Guid UserId);

public sealed record LoginRequest(string? Email, string? Password);

public sealed record RefreshRequest([property: Description("The latest refresh token.")] string? RefreshToken);

public sealed record LogoutRequest([property: Description("A refresh token of the session to end; without it, all of the caller's sessions end.")] string? RefreshToken = null);

public sealed record PasswordRequest(
    string? CurrentPassword,
    [property: Description("8 to 128 characters, not easy to guess.")] string? NewPassword);

/// <summary>The tokens of a session.</summary>
/// <param name="TokenType"><c>Bearer</c>.</param>
/// <param name="AccessToken">The bearer token of each request.</param>
/// <param name="ExpiresIn">Seconds until the access token expires.</param>
/// <param name="RefreshToken">For the next pair of tokens.</param>
public sealed record TokenResponse(string TokenType, string AccessToken, int ExpiresIn, string RefreshToken);

/// <summary>The caller with its roles; every user has the role <c>user</c>.</summary>
/// <param name="Email">Null for a user without an e-mail address.</param>
public sealed record MeResponse(Guid UserId, string? Email, IReadOnlyList<string> Roles);
