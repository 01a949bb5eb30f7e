using System.Collections.Concurrent;
using System.Collections.Frozen;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Api.Identity;

/// <summary>
/// What access tokens claim and no longer holds: revoked sessions, whose tokens are refused before they expire, and roles that were
/// taken away. Each API process reads both once a second, so that requests need no database; its own revocations take effect at once.
/// </summary>
public sealed class Revocations(
    NpgsqlDataSource database, TimeProvider clock, IOptions<IdentitySettings> settings, ILogger<Revocations> logger)
    : PeriodicService("Reading the revoked sessions and roles", TimeSpan.FromSeconds(1), clock, logger)
{
    // A revocation becomes visible after its time, at its commit, so each read overlaps the last one.
    private static readonly TimeSpan Overlap = TimeSpan.FromSeconds(30);

    // After this long without a read, all tokens are refused: one may be revoked. Restarts of PostgreSQL are shorter.
    private static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(30);

    // By session, the time of its revocation. Entries are removed once all access tokens of the session have expired.
    private readonly ConcurrentDictionary<Guid, DateTime> _sessions = new();
    private readonly TimeSpan _lifetime = TimeSpan.FromSeconds(settings.Value.AccessTokenSeconds) + Overlap;
    private volatile StaffAtATime _staff = new(DateTime.MinValue, FrozenDictionary<Guid, CallerRoles>.Empty);
    private DateTime _last;
    private long _readAt;

    /// <summary>Whether a session is revoked.</summary>
    /// <exception cref="TimeoutException">The last read is more than 30 s ago, because PostgreSQL does not answer.</exception>
    public bool Contains(Guid session)
    {
        if (Volatile.Read(ref _readAt) is var readAt && (readAt == 0 || Clock.GetElapsedTime(readAt) > MaxAge))
            throw new TimeoutException("The revoked sessions could not be read from PostgreSQL for too long.");
        return _sessions.ContainsKey(session);
    }

    /// <summary>The roles of a token that the user still has.</summary>
    /// <param name="roles">The roles that the user had at <paramref name="at"/>.</param>
    /// <param name="at">A time of PostgreSQL's clock. Roles that are newer than the last read are taken as they are.</param>
    public CallerRoles Remaining(Guid user, CallerRoles roles, DateTime at) =>
        roles == CallerRoles.None || _staff is var staff && at > staff.At ? roles : roles & staff.Roles.GetValueOrDefault(user);

    /// <summary>Adds a session that this process has just revoked.</summary>
    public void Add(Guid session) => _sessions[session] = Clock.GetUtcNow().UtcDateTime;

    /// <summary>Reads the revocations before the server takes requests.</summary>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await TryRunAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    protected override async Task RunAsync(CancellationToken stoppingToken)
    {
        var startedAt = Clock.GetTimestamp();
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand(
            "select id, revoked_at from identity.sessions where revoked_at > greatest($1, clock_timestamp() - $2) order by revoked_at")
        {
            Parameters =
            {
                new NpgsqlParameter<DateTime> { TypedValue = DateTime.SpecifyKind(_last == default ? default : _last - Overlap, DateTimeKind.Utc) },
                new NpgsqlParameter<TimeSpan> { TypedValue = _lifetime },
            },
        });
        // statement_timestamp() is before the statement's snapshot, so the rows are at least as new as it says.
        batch.BatchCommands.Add(new NpgsqlBatchCommand("""
            select statement_timestamp(), s.user_id, s.names
            from (select) one left join (
                select ur.user_id, array_agg(r.name) as names
                from identity.user_roles ur join identity.roles r on r.id = ur.role_id group by ur.user_id) s on true
            """));
        await using (var reader = await batch.ExecuteReaderAsync(stoppingToken))
        {
            while (await reader.ReadAsync(stoppingToken))
                _sessions[reader.GetGuid(0)] = _last = reader.GetDateTime(1);
            await reader.NextResultAsync(stoppingToken);
            _staff = await ReadStaffAsync(reader, stoppingToken);
        }
        Volatile.Write(ref _readAt, startedAt);
        Forget();
    }

    private static async Task<StaffAtATime> ReadStaffAsync(NpgsqlDataReader reader, CancellationToken cancellationToken)
    {
        var at = DateTime.MinValue;
        var roles = new Dictionary<Guid, CallerRoles>();
        while (await reader.ReadAsync(cancellationToken))
        {
            at = reader.GetDateTime(0);
            if (!reader.IsDBNull(1))
                roles[reader.GetGuid(1)] = CallerExtensions.Parse(reader.GetFieldValue<string[]>(2));
        }
        return new StaffAtATime(at, roles.ToFrozenDictionary());
    }

    private void Forget()
    {
        var oldest = Clock.GetUtcNow().UtcDateTime - _lifetime;
        foreach (var (session, revokedAt) in _sessions)
        {
            if (revokedAt < oldest)
                _sessions.TryRemove(session, out _);
        }
    }

    /// <summary>The users with roles, as they were at a time of PostgreSQL's clock.</summary>
    private sealed record StaffAtATime(DateTime At, FrozenDictionary<Guid, CallerRoles> Roles);
}
