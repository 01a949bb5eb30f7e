using Ledger.Api.Audit;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Api.Identity;

/// <summary>
/// Checks passwords and limits guesses. Neither the answer nor its time shows whether an e-mail address is registered: the same
/// statements run, a hash is computed, and failures lock the address in both cases.
/// </summary>
public sealed class LoginAttempts(NpgsqlDataSource database, IPasswordHasher<User> hasher, Passwords passwords, IOptions<IdentitySettings> settings)
{
    private readonly int _maxFailures = settings.Value.MaxFailedLogins;
    private readonly TimeSpan _lockout = TimeSpan.FromSeconds(settings.Value.LockoutSeconds);

    /// <summary>The key by which failures are counted.</summary>
    public static byte[] HashOf(string email) => Secrets.Hash(RegisteredEmail.Normalize(email));

    /// <summary>Checks the password of the user with this e-mail address.</summary>
    public async Task<LoginAttempt> CheckAsync(HttpContext context, string email, string password)
    {
        var emailHash = HashOf(email);
        Candidate? candidate = null;
        await using (var find = database.CreateCommand("""
            select u.id, u.password_hash, u.frozen_at is not null, extract(epoch from f.locked_until - clock_timestamp())::float8
            from (select) one
            left join identity.users u on u.normalized_email = $1
            left join identity.login_failures f on f.address = $2
            """))
        {
            find.Parameters.Add(new() { Value = RegisteredEmail.Normalize(email) });
            find.Parameters.Add(new() { Value = emailHash });
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
            return await FailAsync(context, emailHash, candidate?.Id);
        if (candidate.IsFrozen)
            return new LoginAttempt(LoginOutcome.Frozen);
        if (verdict == PasswordVerificationResult.Success)
            return new LoginAttempt(LoginOutcome.Succeeded, candidate.Id, candidate.PasswordHash);
        return await RehashAsync(candidate, password) is { } rehashed
            ? new LoginAttempt(LoginOutcome.Succeeded, candidate.Id, rehashed)
            // Another login rehashed the password, or it was changed: check against the current hash.
            : await CheckAsync(context, email, password);
    }

    // Counted in one statement, so that concurrent failures all count.
    private async Task<LoginAttempt> FailAsync(HttpContext context, byte[] emailHash, Guid? user)
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
            Parameters = { new() { Value = emailHash }, new() { Value = _maxFailures }, new() { Value = _lockout } },
        });
        batch.BatchCommands.Add(AuditTrail.EntryOfUnknown(context, AuditActions.SignInFailed, user?.ToString()));
        await using var reader = await batch.ExecuteReaderAsync(CancellationToken.None);
        await reader.ReadAsync(CancellationToken.None);
        return !reader.IsDBNull(0) && reader.GetDouble(0) is > 0 and var seconds
            ? new LoginAttempt(LoginOutcome.Locked, RetryAfter: TimeSpan.FromSeconds(seconds))
            : new LoginAttempt(LoginOutcome.Failed);
    }

    // Hashes the password with the current number of iterations, which needs the password itself. Null if the hash has changed.
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

/// <summary>The outcome of a login attempt.</summary>
/// <param name="User">Set if the attempt succeeded.</param>
/// <param name="PasswordHash">The current hash of the password; set if the attempt succeeded.</param>
/// <param name="RetryAfter">Set if the e-mail address is locked.</param>
public sealed record LoginAttempt(LoginOutcome Outcome, Guid? User = null, string? PasswordHash = null, TimeSpan? RetryAfter = null);

public enum LoginOutcome
{
    Succeeded,
    Failed,
    Locked,
    Frozen,
}
