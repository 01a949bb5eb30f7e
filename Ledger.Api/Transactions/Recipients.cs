using System.Diagnostics.CodeAnalysis;
using Ledger.Core.Identity;
using Npgsql;

namespace Ledger.Api.Transactions;

/// <summary>
/// Resolves a user id or an e-mail address to the user who is paid. Nothing is cached: an address that a user gave up may belong to
/// another user at the next moment.
/// </summary>
public sealed class Recipients(NpgsqlDataSource database)
{
    /// <summary>Whether the text has the form of a user id or of an e-mail address.</summary>
    public static bool IsIdOrEmail([NotNullWhen(true)] string? to) => to is not null && (IsId(to) || RegisteredEmail.IsEmail(to));

    /// <summary>Whether the text has the form of a user id.</summary>
    public static bool IsId(string to) => Guid.TryParseExact(to, "D", out _);

    /// <summary>The user's id, or null if the e-mail address is not registered. The worker checks whether a user id exists.</summary>
    public ValueTask<Guid?> FindAsync(string to, CancellationToken cancellationToken) =>
        Guid.TryParseExact(to, "D", out var id) ? ValueTask.FromResult<Guid?>(id) : new(LookUpAsync(to, cancellationToken));

    private async Task<Guid?> LookUpAsync(string email, CancellationToken cancellationToken)
    {
        var key = await RegisteredEmail.KeyAsync(database, email, cancellationToken);
        await using var command = database.CreateCommand("select id from identity.users where normalized_email = $1");
        command.Parameters.Add(new() { Value = key });
        return await command.ExecuteScalarAsync(cancellationToken) as Guid?;
    }
}
