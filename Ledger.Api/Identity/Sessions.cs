using System.Security.Cryptography;
using Ledger.Api.Audit;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Api.Identity;

/// <summary>
/// Login sessions and their refresh tokens. Each refresh token yields the next one. A token that is used again later may be stolen, so
/// that use ends the session (RFC 9700, section 4.14.2).
/// </summary>
public sealed class Sessions(
    NpgsqlDataSource database, AccessTokens accessTokens, Revocations revocations, IDataProtectionProvider protection, IOptions<IdentitySettings> settings)
{
    // A spent token yields the same successor for this time: the answer was lost, or two tabs refresh at once.
    private static readonly TimeSpan RepeatedFor = TimeSpan.FromSeconds(30);

    private const string RefreshPrefix = "lr_";
    private const string RolesOfUser =
        "array(select r.name from identity.user_roles ur join identity.roles r on r.id = ur.role_id where ur.user_id = u.id)";

    private readonly IDataProtector _protector = protection.CreateProtector("Ledger.RefreshToken");
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
    /// Exchanges a refresh token for the next pair of tokens; for 30 s, the same token yields the same refresh token. Null if the session
    /// has ended or the user is frozen. Null, and the session ends, if the token was spent before that.
    /// </summary>
    public async Task<TokenResponse?> RefreshAsync(HttpContext context, string refreshToken)
    {
        var hash = Secrets.Hash(refreshToken);
        var key = RandomNumberGenerator.GetBytes(32);
        var next = Secrets.Derive(RefreshPrefix, key, refreshToken);
        // A token is only spent together with its successor: a token that is found spent below was spent by another call.
        await using (var spend = database.CreateCommand($"""
            with spent as (
                update identity.refresh_tokens t set spent_at = clock_timestamp(), successor_key = $3
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
            spend.Parameters.Add(new() { Value = _protector.Protect(key) });
            // Not cancelled when the client disconnects: the token is spent either way.
            await using var reader = await spend.ExecuteReaderAsync(CancellationToken.None);
            if (await reader.ReadAsync(CancellationToken.None))
            {
                return Tokens(
                    reader.GetGuid(0), reader.GetGuid(1), CallerExtensions.Parse(reader.GetFieldValue<string[]>(2)), reader.GetDateTime(3), next,
                    reader.GetTimeSpan(4));
            }
        }

        if (await RepeatAsync(hash, refreshToken) is { } repeated)
            return repeated;
        await RevokeAsync(
            "expires_at > clock_timestamp() and id = (select session_id from identity.refresh_tokens where hash = $1 and spent_at is not null)",
            [new() { Value = hash }],
            entryOf: user => AuditTrail.EntryOfUnknown(context, AuditActions.RefreshReused, user.ToString()));
        return null;
    }

    // The answer to a token that another call has just spent, maybe at another API process.
    private async Task<TokenResponse?> RepeatAsync(byte[] hash, string refreshToken)
    {
        await using var find = database.CreateCommand($"""
            select s.id, u.id, {RolesOfUser}, clock_timestamp(), s.expires_at - clock_timestamp(), t.successor_key
            from identity.refresh_tokens t join identity.sessions s on s.id = t.session_id join identity.users u on u.id = s.user_id
            where t.hash = $1 and t.spent_at > clock_timestamp() - $2
                and s.revoked_at is null and s.expires_at > clock_timestamp() and u.frozen_at is null
            """);
        find.Parameters.Add(new() { Value = hash });
        find.Parameters.Add(new() { Value = RepeatedFor });
        await using var reader = await find.ExecuteReaderAsync(CancellationToken.None);
        if (!await reader.ReadAsync(CancellationToken.None))
            return null;
        var next = Secrets.Derive(RefreshPrefix, _protector.Unprotect(reader.GetFieldValue<byte[]>(5)), refreshToken);
        return Tokens(
            reader.GetGuid(0), reader.GetGuid(1), CallerExtensions.Parse(reader.GetFieldValue<string[]>(2)), reader.GetDateTime(3), next,
            reader.GetTimeSpan(4));
    }

    /// <summary>Ends the session of a refresh token that is not spent, if the session is the caller's. False if no session ends.</summary>
    public async Task<bool> CloseAsync(HttpContext context, string refreshToken) => await RevokeAsync(
        "user_id = $1 and id = (select session_id from identity.refresh_tokens where hash = $2 and spent_at is null)",
        [new() { Value = context.Caller().Id }, new() { Value = Secrets.Hash(refreshToken) }],
        entryOf: user => AuditTrail.Entry(context, AuditActions.SignedOut, user.ToString())) > 0;

    /// <summary>Ends all of the caller's sessions.</summary>
    public Task CloseAllAsync(HttpContext context) => RevokeAsync(
        "user_id = $1", [new() { Value = context.Caller().Id }], entryOf: user => AuditTrail.Entry(context, AuditActions.SignedOut, user.ToString()));

    /// <summary>Runs statements and then ends all of a user's sessions except one, in one transaction.</summary>
    /// <param name="except">The session that stays; null for none.</param>
    /// <returns>False, and nothing is changed, if the first statement is to change a row and finds none.</returns>
    public Task<bool> CloseAllAfterAsync(Guid user, Guid? except, params NpgsqlBatchCommand[] statements) => CloseAllAfterAsync(
        user, except, async connection =>
        {
            await ExecuteAsync(connection, statements);
            return statements[0].RecordsAffected != 0;
        });

    /// <summary>Runs an act and then ends all of a user's sessions except one, in one transaction.</summary>
    /// <param name="except">The session that stays; null for none.</param>
    /// <param name="act">Returns whether it took place; otherwise it is undone.</param>
    /// <returns>Whether the act took place.</returns>
    public async Task<bool> CloseAllAfterAsync(Guid user, Guid? except, Func<NpgsqlConnection, Task<bool>> act) => await RevokeAsync(
        "user_id = $1 and id is distinct from $2",
        [new() { Value = user }, new() { Value = (object?)except ?? DBNull.Value, NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Uuid }],
        before: act) is not null;

    /// <param name="which">The condition on sessions; they all belong to one user.</param>
    /// <param name="before">Runs first, in the same transaction. If it returns false, nothing is changed.</param>
    /// <param name="entryOf">The audit entry of the user, written if a session ends.</param>
    /// <returns>How many sessions ended; null if nothing was changed.</returns>
    private async Task<int?> RevokeAsync(
        string which, NpgsqlParameter[] parameters, Func<NpgsqlConnection, Task<bool>>? before = null, Func<Guid, NpgsqlBatchCommand>? entryOf = null)
    {
        await using var connection = await database.OpenConnectionAsync(CancellationToken.None);
        await using var transaction = await connection.BeginTransactionAsync(CancellationToken.None);
        if (before is not null && !await before(connection))
            return null;

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
            await ExecuteAsync(connection, entryOf(ended[0].User));
        await transaction.CommitAsync(CancellationToken.None);
        foreach (var (session, _) in ended)
            revocations.Add(session);
        return ended.Count;
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, params NpgsqlBatchCommand[] statements)
    {
        await using var batch = new NpgsqlBatch(connection);
        foreach (var statement in statements)
            batch.BatchCommands.Add(statement);
        await batch.ExecuteNonQueryAsync(CancellationToken.None);
    }

    /// <param name="rest">The rest of the session. A token must not outlive it: the row that records a revocation is deleted then.</param>
    private TokenResponse Tokens(Guid session, Guid user, CallerRoles roles, DateTime rolesAt, string refresh, TimeSpan rest)
    {
        var lifetime = rest < accessTokens.Lifetime ? rest : accessTokens.Lifetime;
        return new(Caller.AuthenticationScheme, accessTokens.Issue(session, user, roles, rolesAt, lifetime), (int)lifetime.TotalSeconds, refresh);
    }
}
