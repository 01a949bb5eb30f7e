using Ledger.Api.Audit;
using Ledger.Core.Identity;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Api.Identity;

/// <summary>
/// Login sessions and their refresh tokens. Each refresh token is valid once and yields the next. A token that is used again may be
/// stolen, so its second use ends the session (RFC 9700, section 4.14.2).
/// </summary>
public sealed class Sessions(NpgsqlDataSource database, AccessTokens accessTokens, Revocations revocations, IOptions<IdentitySettings> settings)
{
    private const string RefreshPrefix = "lr_";
    private const string RolesOfUser =
        "array(select r.name from identity.user_roles ur join identity.roles r on r.id = ur.role_id where ur.user_id = u.id)";

    private readonly TimeSpan _lifetime = TimeSpan.FromDays(settings.Value.SessionDays);

    /// <summary>Opens a session after a successful login. Null if the user was frozen or its password changed meanwhile.</summary>
    /// <param name="passwordHash">The hash that the login was checked against.</param>
    public async Task<TokenResponse?> OpenAsync(HttpContext context, Guid user, string passwordHash)
    {
        var session = Guid.CreateVersion7();
        var refresh = Secrets.New(RefreshPrefix);
        await using var batch = database.CreateBatch();
        // The lock prevents a freeze or a change of the password between the check and the insert. A key-share lock would
        // allow the change of the password.
        batch.BatchCommands.Add(new NpgsqlBatchCommand($"""
            with opened as (
                insert into identity.sessions (id, user_id, expires_at)
                select $1, u.id, clock_timestamp() + $3
                from (select id from identity.users where id = $2 and frozen_at is null and password_hash = $4 for share) u
                returning id, user_id)
            select o.id, {RolesOfUser}, clock_timestamp() from opened o join identity.users u on u.id = o.user_id
            """)
        {
            Parameters = { new() { Value = session }, new() { Value = user }, new() { Value = _lifetime }, new() { Value = passwordHash } },
        });
        batch.BatchCommands.Add(new NpgsqlBatchCommand(
            "insert into identity.refresh_tokens (hash, session_id) select $1, id from identity.sessions where id = $2")
        {
            Parameters = { new() { Value = Secrets.Hash(refresh) }, new() { Value = session } },
        });
        batch.BatchCommands.Add(AuditTrail.EntryOf(context, user, AuditActions.SignedIn, session));
        await using var reader = await batch.ExecuteReaderAsync(context.RequestAborted);
        return await reader.ReadAsync(context.RequestAborted)
            ? Tokens(session, user, CallerExtensions.Parse(reader.GetFieldValue<string[]>(1)), reader.GetDateTime(2), refresh, _lifetime)
            : null;
    }

    /// <summary>
    /// Exchanges a refresh token for the next pair of tokens. Null if the session has ended or the user is frozen. Null, and the session
    /// ends, if the token was spent before.
    /// </summary>
    public async Task<TokenResponse?> RefreshAsync(HttpContext context, string refreshToken)
    {
        var hash = Secrets.Hash(refreshToken);
        var next = Secrets.New(RefreshPrefix);
        // A token is only spent together with its successor: a token that is found spent below was spent by another call.
        await using (var spend = database.CreateCommand($"""
            with spent as (
                update identity.refresh_tokens t set spent_at = clock_timestamp()
                from identity.sessions s join identity.users u on u.id = s.user_id
                where t.hash = $1 and t.spent_at is null and s.id = t.session_id
                    and s.revoked_at is null and s.expires_at > clock_timestamp() and u.frozen_at is null
                returning s.id, s.user_id, s.expires_at - clock_timestamp() as rest),
            issued as (insert into identity.refresh_tokens (hash, session_id) select $2, id from spent)
            select spent.id, u.id, {RolesOfUser}, clock_timestamp(), spent.rest from spent join identity.users u on u.id = spent.user_id
            """))
        {
            spend.Parameters.Add(new() { Value = hash });
            spend.Parameters.Add(new() { Value = Secrets.Hash(next) });
            // Not cancelled when the client disconnects: the token is spent either way.
            await using var reader = await spend.ExecuteReaderAsync(CancellationToken.None);
            if (await reader.ReadAsync(CancellationToken.None))
            {
                return Tokens(
                    reader.GetGuid(0), reader.GetGuid(1), CallerExtensions.Parse(reader.GetFieldValue<string[]>(2)), reader.GetDateTime(3), next,
                    reader.GetTimeSpan(4));
            }
        }

        await RevokeAsync(
            "expires_at > clock_timestamp() and id = (select session_id from identity.refresh_tokens where hash = $1 and spent_at is not null)",
            [new() { Value = hash }],
            entryOf: user => AuditTrail.EntryOfUnknown(context, AuditActions.RefreshReused, user.ToString()));
        return null;
    }

    /// <summary>Ends the session of a refresh token, if the session is the caller's.</summary>
    public Task CloseAsync(HttpContext context, string refreshToken) => RevokeAsync(
        "user_id = $1 and id = (select session_id from identity.refresh_tokens where hash = $2)",
        [new() { Value = context.Caller().Id }, new() { Value = Secrets.Hash(refreshToken) }],
        entryOf: user => AuditTrail.Entry(context, AuditActions.SignedOut, user.ToString()));

    /// <summary>Ends all of the caller's sessions.</summary>
    public Task CloseAllAsync(HttpContext context) => RevokeAsync(
        "user_id = $1", [new() { Value = context.Caller().Id }], entryOf: user => AuditTrail.Entry(context, AuditActions.SignedOut, user.ToString()));

    /// <summary>Runs statements and then ends all of a user's sessions except one, in one transaction.</summary>
    /// <param name="except">The session that stays; null for none.</param>
    /// <returns>False, and nothing is changed, if the first statement is to change a row and finds none.</returns>
    public Task<bool> CloseAllAfterAsync(Guid user, Guid? except, params NpgsqlBatchCommand[] statements) => RevokeAsync(
        "user_id = $1 and id is distinct from $2",
        [new() { Value = user }, new() { Value = (object?)except ?? DBNull.Value, NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Uuid }],
        before: statements);

    /// <param name="which">The condition on sessions; they all belong to one user.</param>
    /// <param name="before">Statements to run first, in the same transaction. If the first finds no row to change, nothing is changed.</param>
    /// <param name="entryOf">The audit entry of the user, written if a session ends.</param>
    private async Task<bool> RevokeAsync(
        string which, NpgsqlParameter[] parameters, NpgsqlBatchCommand[]? before = null, Func<Guid, NpgsqlBatchCommand>? entryOf = null)
    {
        await using var connection = await database.OpenConnectionAsync(CancellationToken.None);
        await using var transaction = await connection.BeginTransactionAsync(CancellationToken.None);
        if (before is not null)
        {
            await ExecuteAsync(before);
            if (before[0].RecordsAffected == 0)
                return false;
        }

        await using var revoke = new NpgsqlCommand(
            $"update identity.sessions set revoked_at = clock_timestamp() where revoked_at is null and {which} returning id, user_id", connection, transaction);
        revoke.Parameters.AddRange(parameters);
        var ended = new List<(Guid Session, Guid User)>();
        await using (var reader = await revoke.ExecuteReaderAsync(CancellationToken.None))
        {
            while (await reader.ReadAsync(CancellationToken.None))
                ended.Add((reader.GetGuid(0), reader.GetGuid(1)));
        }
        if (entryOf is not null && ended.Count > 0)
            await ExecuteAsync(entryOf(ended[0].User));
        await transaction.CommitAsync(CancellationToken.None);
        foreach (var (session, _) in ended)
            revocations.Add(session);
        return true;

        async Task ExecuteAsync(params NpgsqlBatchCommand[] statements)
        {
            await using var batch = new NpgsqlBatch(connection, transaction);
            foreach (var statement in statements)
                batch.BatchCommands.Add(statement);
            await batch.ExecuteNonQueryAsync(CancellationToken.None);
        }
    }

    /// <param name="rest">The rest of the session. A token must not outlive it: the row that records a revocation is deleted then.</param>
    private TokenResponse Tokens(Guid session, Guid user, CallerRoles roles, DateTime rolesAt, string refresh, TimeSpan rest)
    {
        var lifetime = rest < accessTokens.Lifetime ? rest : accessTokens.Lifetime;
        return new(Caller.AuthenticationScheme, accessTokens.Issue(session, user, roles, rolesAt, lifetime), (int)lifetime.TotalSeconds, refresh);
    }
}
