using System.Collections.Concurrent;
using System.Security.Claims;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Authentication;
using Npgsql;

namespace Ledger.Api.Identity;

/// <summary>Checks the API keys of service accounts. A result is cached for two seconds, and a revoked key is accepted for as long.</summary>
public sealed class ApiKeys(NpgsqlDataSource database, TimeProvider clock)
{
    private static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(2);

    // Bounded by the number of existing keys: unknown keys are not cached.
    private readonly ConcurrentDictionary<string, (AuthenticationTicket Ticket, long ReadAt)> _known = new(StringComparer.Ordinal);

    /// <summary>The service account of a key; null unless the key exists and is neither expired nor revoked, and the account is open.</summary>
    public ValueTask<AuthenticationTicket?> FindAsync(string key, CancellationToken cancellationToken) =>
        _known.TryGetValue(key, out var known) && clock.GetElapsedTime(known.ReadAt) < MaxAge
            ? ValueTask.FromResult<AuthenticationTicket?>(known.Ticket)
            : new(ReadAsync(key, cancellationToken));

    private async Task<AuthenticationTicket?> ReadAsync(string key, CancellationToken cancellationToken)
    {
        if (key.Length != ApiKey.Length)
            return null;
        var readAt = clock.GetTimestamp();
        var hash = Secrets.Hash(key);
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand("""
            select s.id, s.scopes from identity.service_keys k join identity.services s on s.id = k.service_id
            where k.hash = $1 and k.revoked_at is null and k.expires_at > clock_timestamp() and s.closed_at is null
            """)
        {
            Parameters = { new() { Value = hash } },
        });
        // At most one write per key and minute.
        batch.BatchCommands.Add(new NpgsqlBatchCommand("""
            update identity.service_keys set last_used_at = clock_timestamp()
            where hash = $1 and revoked_at is null and expires_at > clock_timestamp()
                and (last_used_at is null or last_used_at < clock_timestamp() - interval '1 minute')
            """)
        {
            Parameters = { new() { Value = hash } },
        });
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
        {
            _known.TryRemove(key, out _);
            return null;
        }
        var caller = new Caller(reader.GetGuid(0), CallerExtensions.ParseScopes(reader.GetFieldValue<string[]>(1)));
        var ticket = new AuthenticationTicket(new ClaimsPrincipal(caller), Caller.AuthenticationScheme);
        _known[key] = (ticket, readAt);
        return ticket;
    }
}
