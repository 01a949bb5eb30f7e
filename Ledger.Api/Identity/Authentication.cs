using System.Text.Encodings.Web;
using Ledger.Api.Errors;
using Ledger.Api.Oidc;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authorization;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Identity;

/// <summary>
/// <c>Authorization: Bearer …</c> (RFC 6750) with an access token or an API key, which starts with <c>lk_</c>. Access tokens of an
/// external provider are signed JSON Web Tokens, whose parts have dots between them. The credentials of a request are read only if its
/// endpoint has a policy: probes, public endpoints and unknown paths need no database.
/// </summary>
internal sealed class Authentication(
    IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder, AccessTokens tokens, ApiKeys keys,
    ExternalTokens? external = null)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    private const string Bearer = "Bearer ";

    // Why a genuine token of an external provider is refused.
    private string? _forbidden;

    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        if (!HasPolicy(Context.GetEndpoint()) || Request.Headers.Authorization is not [{ } header] || !header.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase))
            return AuthenticateResult.NoResult();

        var credential = header[Bearer.Length..];
        if (external is not null && credential.Contains('.', StringComparison.Ordinal))
            return await ReadExternalAsync(external, credential);
        var ticket = credential.StartsWith(ApiKey.Prefix, StringComparison.Ordinal)
            ? await keys.FindAsync(credential, Context.RequestAborted)
            : tokens.Read(credential);
        return ticket is null ? AuthenticateResult.NoResult() : AuthenticateResult.Success(ticket);
    }

    private async Task<AuthenticateResult> ReadExternalAsync(ExternalTokens external, string token)
    {
        var login = await external.ReadAsync(Context, token);
        _forbidden = login.Forbidden;
        return login.Ticket is null ? AuthenticateResult.NoResult() : AuthenticateResult.Success(login.Ticket);
    }

    private static bool HasPolicy(Endpoint? endpoint) =>
        endpoint?.Metadata.GetMetadata<IAuthorizeData>() is not null && endpoint.Metadata.GetMetadata<IAllowAnonymous>() is null;

    protected override Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        if (_forbidden is not null)
            return Problem.Of(Context, StatusCodes.Status403Forbidden, "forbidden", _forbidden).ExecuteAsync(Context);
        Response.StatusCode = StatusCodes.Status401Unauthorized;
        Response.Headers.WWWAuthenticate = Request.Headers.Authorization.Count == 0 ? "Bearer" : """Bearer error="invalid_token" """.TrimEnd();
        return Task.CompletedTask;
    }

    protected override Task HandleForbiddenAsync(AuthenticationProperties properties)
    {
        if (Context.User.Identity is not Caller caller || Policies.MissingScopes(caller, Context.GetEndpoint()) is not { Count: > 0 } missing)
            return base.HandleForbiddenAsync(properties);
        // RFC 6750, section 3.1.
        Response.Headers.WWWAuthenticate = $"Bearer error=\"insufficient_scope\", scope=\"{string.Join(' ', missing)}\"";
        return Problem.Of(
            Context, StatusCodes.Status403Forbidden, "forbidden", $"This request needs the scope {string.Join(" or ", missing)}.").ExecuteAsync(Context);
    }
}
