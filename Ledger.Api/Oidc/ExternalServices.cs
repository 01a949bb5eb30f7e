using System.Collections.Concurrent;
using System.Security.Claims;
using Ledger.Api.Identity;
using Microsoft.AspNetCore.Authentication;
using Npgsql;
using NpgsqlTypes;
using StoredServices = Ledger.Core.Identity.ServiceAccounts;

namespace Ledger.Api.Oidc;

/// <summary>
/// Service accounts that clients of the provider use. An account is cached for two seconds, as by <see cref="ApiKeys"/>, so a closed one
/// is accepted for as long.
/// </summary>
internal sealed class ExternalServices(NpgsqlDataSource database, TimeProvider clock)
{
    private static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(2);

    // Bounded by the number of existing service accounts: unknown ones are not cached.
    private readonly ConcurrentDictionary<string, (Guid Id, CallerScopes Scopes, long ReadAt)> _known = new(StringComparer.Ordinal);

    /// <summary>The caller of a token, with the scopes that both the token and the service account have.</summary>
    public async ValueTask<ExternalLogin> FindAsync(string service, CallerScopes scopes, CancellationToken cancellationToken)
    {
        if (!_known.TryGetValue(service, out var known) || clock.GetElapsedTime(known.ReadAt) >= MaxAge)
        {
            if (await ReadAsync(service, cancellationToken) is not { } read)
                return new ExternalLogin(null, "The service account that the token names does not exist or is closed.");
            known = read;
        }
        var caller = new Caller(known.Id, known.Scopes & scopes);
        return new ExternalLogin(new AuthenticationTicket(new ClaimsPrincipal(caller), Caller.AuthenticationScheme));
    }

    private async Task<(Guid Id, CallerScopes Scopes, long ReadAt)?> ReadAsync(string service, CancellationToken cancellationToken)
    {
        if (service.Length > StoredServices.MaxName)
            return null;
        var readAt = clock.GetTimestamp();
        await using var find = database.CreateCommand("select id, scopes from identity.services where closed_at is null and case when $1 is null then name = $2 else id = $1 end");
        find.Parameters.Add(new() { Value = Guid.TryParse(service, out var id) ? id : DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid });
        find.Parameters.Add(new() { Value = service });
        await using var reader = await find.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
        {
            _known.TryRemove(service, out _);
            return null;
        }
        var read = (reader.GetGuid(0), CallerExtensions.ParseScopes(reader.GetFieldValue<string[]>(1)), readAt);
        _known[service] = read;
        return read;
    }
}
