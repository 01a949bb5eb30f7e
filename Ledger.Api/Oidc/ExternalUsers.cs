using Ledger.Api.Identity;
using Ledger.Core.Identity;
using Microsoft.Extensions.Options;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Api.Oidc;

/// <summary>Users of the provider in the ledger: <c>identity.user_logins</c> has the user of each issuer and subject.</summary>
internal sealed class ExternalUsers(NpgsqlDataSource database, IOptions<OidcSettings> settings)
{
    // The row of a session must outlive its token, or a token that was ended could open it again.
    private static readonly TimeSpan Margin = TimeSpan.FromMinutes(5);

    // The first makes the user. A freeze, or another API process with the same token, can come between a snapshot and its insert.
    private const int Attempts = 4;

    private readonly bool _createUsers = settings.Value.CreateUsers;

    /// <summary>Opens the session of a token, or finds it open. Makes a user for an unknown subject if the options say so.</summary>
    /// <returns>The session, or why the user is refused. Neither, if the session has ended.</returns>
    public async Task<(ExternalSession? Session, string? Refusal)> OpenAsync(HttpContext context, ExternalClaims claims)
    {
        for (var attempt = 1; attempt <= Attempts; attempt++)
        {
            // In a transaction of its own: roles are newer than RolesAt only if they are committed before it is read.
            if (claims.Roles is { } roles)
                await SetRolesAsync(claims, roles);
            switch (await TryOpenAsync(context, claims))
            {
                case (LoginState.Open, { } session):
                    return (session, null);
                case (LoginState.Ended, _):
                    return (null, null);
                case (LoginState.Frozen, _):
                    return (null, "The user is frozen.");
                case (LoginState.Unknown, _) when claims.IsClient:
                    return (null, "The token belongs to a client of the identity provider, and names neither a user nor a service account.");
                case (LoginState.Unknown, _) when !_createUsers:
                    return (null, "The identity provider's user is not a user of the ledger.");
                case (LoginState.Unknown, _):
                    await CreateAsync(claims);
                    break;
            }
        }
        return (null, null);
    }

    private async Task<(LoginState State, ExternalSession? Session)> TryOpenAsync(HttpContext context, ExternalClaims claims)
    {
        // The lock prevents a freeze between the check and the insert.
        await using var open = database.CreateCommand($"""
            with login as (
                select u.id, u.frozen_at
                from identity.user_logins l join identity.users u on u.id = l.user_id where l.login_provider = $1 and l.provider_key = $2),
            opened as (
                insert into identity.sessions (id, user_id, expires_at)
                select $3, u.id, $4
                from (select id from identity.users where id = (select id from login) and frozen_at is null and closed_at is null for share) u
                on conflict (id) do nothing returning user_id),
            entry as (
                insert into identity.audit (actor_kind, actor_id, action, subject, address, details)
                select 'user', user_id, '{AuditActions.SignedIn}', user_id::text, $5, json_build_object('provider', $1) from opened)
            select u.id, u.frozen_at is not null, exists (select from opened), coalesce(s.user_id = u.id, false), s.revoked_at is not null,
                array(select r.name from identity.user_roles ur join identity.roles r on r.id = ur.role_id where ur.user_id = u.id), clock_timestamp()
            from (select) one left join login u on true left join identity.sessions s on s.id = $3
            """);
        open.Parameters.Add(new() { Value = claims.Issuer, NpgsqlDbType = NpgsqlDbType.Text });
        open.Parameters.Add(new() { Value = claims.Subject });
        open.Parameters.Add(new() { Value = claims.Session });
        open.Parameters.Add(new() { Value = (claims.ExpiresAt + Margin).UtcDateTime });
        open.Parameters.Add(new() { Value = (object?)context.Connection.RemoteIpAddress?.ToString() ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        await using var reader = await open.ExecuteReaderAsync(CancellationToken.None);
        await reader.ReadAsync(CancellationToken.None);
        var (isOpened, isKnown, isRevoked) = (reader.GetBoolean(2), reader.GetBoolean(3), reader.GetBoolean(4));
        // Before the user: a token that was ended must not make a user. A user who is closed has no login any more.
        if (isRevoked)
            return (LoginState.Ended, null);
        if (reader.IsDBNull(0))
            return (LoginState.Unknown, null);
        var state = reader.GetBoolean(1) ? LoginState.Frozen
            : isOpened || isKnown ? LoginState.Open
            : LoginState.Changing;
        return (state, new ExternalSession(
            reader.GetGuid(0), CallerExtensions.Parse(reader.GetFieldValue<string[]>(5)), DateTime.SpecifyKind(reader.GetDateTime(6), DateTimeKind.Utc)));
    }

    private async Task SetRolesAsync(ExternalClaims claims, CallerRoles roles)
    {
        await using var set = database.CreateCommand("select identity.set_roles_of_login($1, $2, $3, $4)");
        set.Parameters.Add(new() { Value = claims.Issuer });
        set.Parameters.Add(new() { Value = claims.Subject });
        set.Parameters.Add(new() { Value = roles.Names().ToArray() });
        set.Parameters.Add(new() { Value = claims.IssuedAt.UtcDateTime });
        await set.ExecuteNonQueryAsync(CancellationToken.None);
    }

    private async Task CreateAsync(ExternalClaims claims)
    {
        var email = claims.VerifiedEmail is null ? null : await RegisteredEmail.CanonicalAsync(database, claims.VerifiedEmail, CancellationToken.None);
        if (!RegisteredEmail.IsEmail(email))
            email = null;
        var id = Guid.CreateVersion7();
        await using var create = database.CreateCommand("select identity.add_login($1, $2, $3, $4, $5)");
        create.Parameters.Add(new() { Value = claims.Issuer });
        create.Parameters.Add(new() { Value = claims.Subject });
        create.Parameters.Add(new() { Value = id });
        create.Parameters.Add(new() { Value = (object?)email ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        create.Parameters.Add(new() { Value = email is null ? DBNull.Value : RegisteredEmail.KeyOf(email), NpgsqlDbType = NpgsqlDbType.Text });
        if ((Guid)(await create.ExecuteScalarAsync(CancellationToken.None))! == id)
            IdentityMetrics.CountRegistration();
    }

    private enum LoginState
    {
        Open,
        /// <summary>The session was ended before its token expired.</summary>
        Ended,
        Frozen,
        /// <summary>The subject has no user.</summary>
        Unknown,
        /// <summary>Another transaction changed the user or opened the session meanwhile.</summary>
        Changing,
    }
}
