using System.ComponentModel;
using System.Security.Claims;
using Ledger.Api.Problems;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Authentication.BearerToken;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Identity;
using Npgsql;

namespace Ledger.Api.Identity;

/// <summary>Who one is.</summary>
public static class IdentityEndpoints
{
    public static void MapIdentity(this IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/identity").WithTags("Identity");

        group.MapPost("/register", RegisterAsync).AllowAnonymous().WithName("Register")
            .WithSummary("Become a user")
            .WithDescription("The password has 8 to 128 characters, whichever they are. 409 `email_taken` if the address is registered.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status409Conflict);
        group.MapPost("/login", LoginAsync).AllowAnonymous().WithName("Login")
            .WithSummary("Get an access token")
            .WithDescription("Send it as `Authorization: Bearer …`. 401 `invalid_credentials` does not tell which of the two was wrong; 429 after repeated failures.")
            .Produces<AccessTokenResponse>()
            .ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status429TooManyRequests);
        group.MapGet("/me", MeAsync).RequireAuthorization().WithName("Me")
            .WithSummary("Who the caller is")
            .ProducesProblem(StatusCodes.Status401Unauthorized);
    }

    private static async Task<Results<Created<RegisterResponse>, ProblemHttpResult>> RegisterAsync(
        RegisterRequest request, HttpContext context, UserManager<User> users)
    {
        var errors = new Dictionary<string, string[]>();
        if (!RegisteredEmail.IsEmail(request.Email))
            errors["email"] = ["Must be an e-mail address."];
        if (request.Password is not { Length: >= Passwords.MinLength and <= Passwords.MaxLength })
            errors["password"] = [$"Must have {Passwords.MinLength} to {Passwords.MaxLength} characters."];
        if (errors.Count > 0)
            return Problem.Invalid(context, errors);

        var user = new User { Id = Guid.CreateVersion7(), UserName = request.Email, Email = request.Email };
        IdentityResult result;
        try
        {
            result = await users.CreateAsync(user, request.Password!);
        }
        catch (Microsoft.EntityFrameworkCore.DbUpdateException e) when (e.InnerException is PostgresException { SqlState: PostgresErrorCodes.UniqueViolation })
        {
            // Somebody else registered the address between the question and the insert.
            return EmailTaken(context);
        }
        if (result.Succeeded)
        {
            IdentityMetrics.Registrations.Add(1);
            return TypedResults.Created($"{context.Request.PathBase}/api/v1/identity/me", new RegisterResponse(user.Id));
        }
        return result.Errors.Any(e => e.Code is nameof(IdentityErrorDescriber.DuplicateUserName) or nameof(IdentityErrorDescriber.DuplicateEmail))
            ? EmailTaken(context)
            : Problem.Invalid(context, new Dictionary<string, string[]> { ["password"] = [.. result.Errors.Select(e => e.Description)] });
    }

    private static ProblemHttpResult EmailTaken(HttpContext context) =>
        Problem.Of(context, StatusCodes.Status409Conflict, "email_taken", "This e-mail address is registered.");

    private static async Task<Results<SignInHttpResult, ProblemHttpResult>> LoginAsync(
        LoginRequest request, HttpContext context, UserManager<User> users, Passwords passwords, TimeProvider clock)
    {
        if (!RegisteredEmail.IsEmail(request.Email) || request.Password is not { Length: <= Passwords.MaxLength })
            return InvalidCredentials(context);

        var user = await users.FindByEmailAsync(request.Email);
        if (user is null)
        {
            // As long as for somebody who is registered: the time of the answer does not tell who is.
            passwords.Waste(request.Password);
            return InvalidCredentials(context);
        }
        if (await users.IsLockedOutAsync(user))
            return LockedOut(context, user, clock);
        if (!await users.CheckPasswordAsync(user, request.Password))
        {
            await users.AccessFailedAsync(user);
            return await users.IsLockedOutAsync(user) ? LockedOut(context, user, clock) : InvalidCredentials(context);
        }
        if (user.AccessFailedCount > 0)
            await users.ResetAccessFailedCountAsync(user);

        var identity = new ClaimsIdentity(BearerTokenDefaults.AuthenticationScheme);
        identity.AddClaim(new Claim(ClaimTypes.NameIdentifier, user.Id.ToString()));
        foreach (var role in await users.GetRolesAsync(user))
            identity.AddClaim(new Claim(ClaimTypes.Role, role));
        IdentityMetrics.CountLogin("succeeded");
        return TypedResults.SignIn(new ClaimsPrincipal(identity), authenticationScheme: BearerTokenDefaults.AuthenticationScheme);
    }

    private static ProblemHttpResult InvalidCredentials(HttpContext context)
    {
        IdentityMetrics.CountLogin("failed");
        return Problem.Of(context, StatusCodes.Status401Unauthorized, "invalid_credentials", "The e-mail address or the password is wrong.");
    }

    private static ProblemHttpResult LockedOut(HttpContext context, User user, TimeProvider clock)
    {
        IdentityMetrics.CountLogin("locked_out");
        var seconds = Math.Max(1, (int)Math.Ceiling((user.LockoutEnd!.Value - clock.GetUtcNow()).TotalSeconds));
        context.Response.Headers.RetryAfter = seconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return Problem.Of(context, StatusCodes.Status429TooManyRequests, "rate_limited", "Too many failed attempts.");
    }

    private static async Task<Results<Ok<MeResponse>, UnauthorizedHttpResult>> MeAsync(HttpContext context, UserManager<User> users)
    {
        var user = await users.FindByIdAsync(context.User.UserId().ToString());
        return user is null
            ? TypedResults.Unauthorized()
            : TypedResults.Ok(new MeResponse(user.Id, user.Email!, ["user", .. await users.GetRolesAsync(user)]));
    }
}

public sealed record RegisterRequest(
    [property: Description("The address to log in with.")] string? Email,
    [property: Description("8 to 128 characters.")] string? Password);

public sealed record RegisterResponse(Guid UserId);

public sealed record LoginRequest(string? Email, string? Password);

/// <summary>The caller, with its roles; <c>user</c> is everybody's.</summary>
public sealed record MeResponse(Guid UserId, string Email, IReadOnlyList<string> Roles);
