using Ledger.Api.Audit;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Api.Identity;

/// <summary>
/// Checks passwords against guessing. Whether somebody has the address shows neither in the answer nor in its time: the same
/// statements run, a hash is computed, and failures lock the address alike.
/// </summary>
public sealed class LoginAttempts(NpgsqlDataSource database, IPasswordHasher<User> hasher, Passwords passwords, IOptions<IdentitySettings> settings)
{
    private readonly int _maxFailures = settings.Value.MaxFailedLogins;
    private readonly TimeSpan _lockout = TimeSpan.FromSeconds(settings.Value.LockoutSeconds);

    /// <summary>What failures are counted by.</summary>
    public static byte[] AddressOf(string email) => Secrets.Hash(RegisteredEmail.Normalize(email));

    /// <summary>Whether the password is the address's.</summary>
    public async Task<LoginAttempt> CheckAsync(HttpContext context, string email, string password)
    {
        var address = AddressOf(email);
        Candidate? candidate = null;
        await using (var find = database.CreateCommand("""
            select u.id, u.password_hash, u.frozen_at is not null, extract(epoch from f.locked_until - clock_timestamp())::float8
            from (select) one
            left join identity.users u on u.normalized_email = $1
            left join identity.login_failures f on f.address = $2
            """))
        {
            find.Parameters.Add(new() { Value = RegisteredEmail.Normalize(email) });
            find.Parameters.Add(new() { Value = address });
            await using var reader = await find.ExecuteReaderAsync(context.RequestAborted);
            await reader.ReadAsync(context.RequestAborted);
            if (!reader.IsDBNull(3) && reader.GetDouble(3) is > 0 and var seconds)
                return new LoginAttempt(LoginOutcome.Locked, RetryAfter: TimeSpan.FromSeconds(seconds));
            if (!reader.IsDBNull(0) && !reader.IsDBNull(1))
                candidate = new Candidate(reader.GetGuid(0), reader.GetString(1), reader.GetBoolean(2));
        }

        var verdict = candidate is null
            ? passwords.Waste(password)
            : hasher.VerifyHashedPassword(new User { Id = candidate.Id }, candidate.PasswordHash, password);
        if (candidate is null || verdict == PasswordVerificationResult.Failed)
            return await FailAsync(context, address, candidate?.Id);
        if (candidate.IsFrozen)
            return new LoginAttempt(LoginOutcome.Frozen);
        if (verdict == PasswordVerificationResult.Success)
            return new LoginAttempt(LoginOutcome.Succeeded, candidate.Id, candidate.PasswordHash);
        return await RehashAsync(candidate, password) is { } rehashed
            ? new LoginAttempt(LoginOutcome.Succeeded, candidate.Id, rehashed)
            // Another login did the same, or the password was changed: what is there now counts.
            : await CheckAsync(context, email, password);
    }

    // One statement counts, so that attempts at once are all counted.
    private async Task<LoginAttempt> FailAsync(HttpContext context, byte[] address, Guid? user)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand("""
            insert into identity.login_failures as f (address, failures, last_at, locked_until)
            values ($1, 1 % $2, clock_timestamp(), case when $2 = 1 then clock_timestamp() + $3 end)
            on conflict (address) do update set
                failures = (f.failures + 1) % $2,
                last_at = clock_timestamp(),
                locked_until = case when f.failures + 1 >= $2 then clock_timestamp() + $3 else f.locked_until end
            returning extract(epoch from locked_until - clock_timestamp())::float8
            """)
        {
            Parameters = { new() { Value = address }, new() { Value = _maxFailures }, new() { Value = _lockout } },
        });
        batch.BatchCommands.Add(AuditTrail.EntryOfNobody(context, AuditActions.SignInFailed, user?.ToString()));
        await using var reader = await batch.ExecuteReaderAsync(CancellationToken.None);
        await reader.ReadAsync(CancellationToken.None);
        return !reader.IsDBNull(0) && reader.GetDouble(0) is > 0 and var seconds
            ? new LoginAttempt(LoginOutcome.Locked, RetryAfter: TimeSpan.FromSeconds(seconds))
            : new LoginAttempt(LoginOutcome.Failed);
    }

    // The password was hashed with fewer rounds than are asked for by now; this is the moment when it is known. Null if another hash
    // came first.
    private async Task<string?> RehashAsync(Candidate candidate, string password)
    {
        var hash = hasher.HashPassword(new User { Id = candidate.Id }, password);
        await using var update = database.CreateCommand("update identity.users set password_hash = $3 where id = $1 and password_hash = $2");
        update.Parameters.Add(new() { Value = candidate.Id });
        update.Parameters.Add(new() { Value = candidate.PasswordHash });
        update.Parameters.Add(new() { Value = hash });
        return await update.ExecuteNonQueryAsync(CancellationToken.None) == 1 ? hash : null;
    }

    private sealed record Candidate(Guid Id, string PasswordHash, bool IsFrozen);
}

/// <summary>What became of an attempt.</summary>
/// <param name="User">Set if it succeeded.</param>
/// <param name="PasswordHash">That of the password; set if it succeeded.</param>
/// <param name="RetryAfter">Set if the address is locked.</param>
public sealed record LoginAttempt(LoginOutcome Outcome, Guid? User = null, string? PasswordHash = null, TimeSpan? RetryAfter = null);

public enum LoginOutcome
{
    Succeeded,
    Failed,
    Locked,
    Frozen,
}
