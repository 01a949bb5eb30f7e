using System.Text.Encodings.Web;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authorization;
using Microsoft.Extensions.Options;

namespace Ledger.Api.Identity;

/// <summary>
/// <c>Authorization: Bearer …</c> (RFC 6750) with an access token or an API key, which starts with <c>lk_</c>. The credentials of a
/// request are read only if its endpoint has a policy: probes, public endpoints and unknown paths need no database.
/// </summary>
internal sealed class Authentication(
    IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder, AccessTokens tokens, ApiKeys keys)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    private const string Bearer = "Bearer ";

    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        if (!HasPolicy(Context.GetEndpoint()) || Request.Headers.Authorization is not [{ } header] || !header.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase))
            return AuthenticateResult.NoResult();

        var credential = header[Bearer.Length..];
        var ticket = credential.StartsWith(ApiKey.Prefix, StringComparison.Ordinal)
            ? await keys.FindAsync(credential, Context.RequestAborted)
            : tokens.Read(credential);
        return ticket is null ? AuthenticateResult.NoResult() : AuthenticateResult.Success(ticket);
    }

    private static bool HasPolicy(Endpoint? endpoint) =>
        endpoint?.Metadata.GetMetadata<IAuthorizeData>() is not null && endpoint.Metadata.GetMetadata<IAllowAnonymous>() is null;

    protected override Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        Response.StatusCode = StatusCodes.Status401Unauthorized;
        Response.Headers.WWWAuthenticate = Request.Headers.Authorization.Count == 0 ? "Bearer" : """Bearer error="invalid_token" """.TrimEnd();
        return Task.CompletedTask;
    }
}
