using System.Diagnostics.CodeAnalysis;
using Ledger.Core.Identity;
using Microsoft.Extensions.Caching.Memory;
using Npgsql;

namespace Ledger.Api.Transactions;

/// <summary>Resolves a user id or an e-mail address to the user who is paid.</summary>
public sealed class Recipients(NpgsqlDataSource database) : IDisposable
{
    // An e-mail address never moves to another user. Unknown addresses are not cached: they may be registered at any moment.
    private readonly MemoryCache _byEmail = new(new MemoryCacheOptions { SizeLimit = 100_000 });

    /// <summary>Whether the text has the form of a user id or of an e-mail address.</summary>
    public static bool IsIdOrEmail([NotNullWhen(true)] string? to) => to is not null && (Guid.TryParseExact(to, "D", out _) || RegisteredEmail.IsEmail(to));

    /// <summary>The user's id, or null if the e-mail address is not registered. The worker checks whether a user id exists.</summary>
    public ValueTask<Guid?> FindAsync(string to, CancellationToken cancellationToken)
    {
        if (Guid.TryParseExact(to, "D", out var id))
            return ValueTask.FromResult<Guid?>(id);
        return _byEmail.TryGetValue(to, out Guid known) ? ValueTask.FromResult<Guid?>(known) : new(LookUpAsync(to, cancellationToken));
    }

    private async Task<Guid?> LookUpAsync(string email, CancellationToken cancellationToken)
    {
        var key = await RegisteredEmail.KeyAsync(database, email, cancellationToken);
        await using var command = database.CreateCommand("select id from identity.users where normalized_email = $1");
        command.Parameters.Add(new() { Value = key });
        if (await command.ExecuteScalarAsync(cancellationToken) is not Guid id)
            return null;
        _byEmail.Set(email, id, new MemoryCacheEntryOptions { Size = 1 });
        return id;
    }

    public void Dispose() => _byEmail.Dispose();
}
