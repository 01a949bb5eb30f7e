using System.Collections.Concurrent;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Api.Identity;

/// <summary>
/// The sessions whose access tokens are refused although they have not expired. Every API process reads what is new in the
/// database once a second, so a request asks memory alone; what this process revokes, it knows at once.
/// </summary>
public sealed partial class RevokedSessions(
    NpgsqlDataSource database, TimeProvider clock, IOptions<IdentitySettings> settings, ILogger<RevokedSessions> logger) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    // A revocation is dated before its commit is seen: each look reaches back behind the last one.
    private static readonly TimeSpan Overlap = TimeSpan.FromSeconds(30);

    // Without news for so long, a revoked token might be let in: better nobody is. Restarts of PostgreSQL are shorter.
    private static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan HousekeepingInterval = TimeSpan.FromMinutes(1);

    // With when they were revoked: what is older than an access token lives is forgotten.
    private readonly ConcurrentDictionary<Guid, DateTime> _sessions = new();
    private readonly TimeSpan _lifetime = TimeSpan.FromSeconds(settings.Value.AccessTokenSeconds) + Overlap;
    private readonly OnceAMinute _failures = new(clock);
    private DateTime _last;
    private long _readAt;

    /// <summary>Whether a session is revoked.</summary>
    /// <exception cref="TimeoutException">It cannot be known: the database has been away for too long.</exception>
    public bool Contains(Guid session)
    {
        if (Volatile.Read(ref _readAt) is var readAt && (readAt == 0 || clock.GetElapsedTime(readAt) > MaxAge))
            throw new TimeoutException("The database has not been there to tell which sessions are revoked.");
        return _sessions.ContainsKey(session);
    }

    /// <summary>Makes known what this process has just revoked.</summary>
    public void Add(Guid session) => _sessions[session] = clock.GetUtcNow().UtcDateTime;

    /// <summary>Reads the first time before the server takes requests.</summary>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await TryReadAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, clock);
        var cleanedAt = clock.GetTimestamp();
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                await TryReadAsync(stoppingToken);
                if (clock.GetElapsedTime(cleanedAt) > HousekeepingInterval)
                {
                    cleanedAt = clock.GetTimestamp();
                    await TryCleanAsync(stoppingToken);
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    private async Task TryReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            var startedAt = clock.GetTimestamp();
            await using var command = database.CreateCommand(
                "select id, revoked_at from identity.sessions where revoked_at > greatest($1, clock_timestamp() - $2) order by revoked_at");
            command.Parameters.Add(new NpgsqlParameter<DateTime>
            {
                TypedValue = DateTime.SpecifyKind(_last == default ? default : _last - Overlap, DateTimeKind.Utc),
            });
            command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = _lifetime });
            await using (var reader = await command.ExecuteReaderAsync(cancellationToken))
            {
                while (await reader.ReadAsync(cancellationToken))
                    _sessions[reader.GetGuid(0)] = _last = reader.GetDateTime(1);
            }
            Volatile.Write(ref _readAt, startedAt);
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException)
        {
            Tell(e);
        }
    }

    private async Task TryCleanAsync(CancellationToken cancellationToken)
    {
        var oldest = clock.GetUtcNow().UtcDateTime - _lifetime;
        foreach (var (session, revokedAt) in _sessions)
        {
            if (revokedAt < oldest)
                _sessions.TryRemove(session, out _);
        }
        try
        {
            await using var clean = database.CreateBatch();
            clean.BatchCommands.Add(new NpgsqlBatchCommand("delete from identity.sessions where expires_at < clock_timestamp()"));
            clean.BatchCommands.Add(new NpgsqlBatchCommand(
                "delete from identity.login_failures where last_at < clock_timestamp() - interval '1 day' and coalesce(locked_until < clock_timestamp(), true)"));
            await clean.ExecuteNonQueryAsync(cancellationToken);
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException)
        {
            Tell(e);
        }
    }

    private void Tell(Exception e)
    {
        if (_failures.IsDue(Connections.ReasonOf(e)))
            LogUnread(Connections.ReasonOf(e));
    }

    [LoggerMessage(LogLevel.Warning, "Which sessions are revoked cannot be read now: {Reason}")]
    private partial void LogUnread(string reason);
}
