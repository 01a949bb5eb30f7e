using Ledger.Api.Audit;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Api.Identity;

/// <summary>
/// Checks passwords and limits guesses. Neither the answer nor its time shows whether an e-mail address is registered: the same
/// statements run, a hash is computed, and attempts lock the address in both cases.
/// </summary>
public sealed class LoginAttempts(NpgsqlDataSource database, IPasswordHasher<User> hasher, Passwords passwords, IOptions<IdentitySettings> settings)
{
    private readonly int _maxFailures = settings.Value.MaxFailedLogins;
    private readonly TimeSpan _lockout = TimeSpan.FromSeconds(settings.Value.LockoutSeconds);

    /// <summary>Checks the password of the user with this e-mail address.</summary>
    public async Task<LoginAttempt> CheckAsync(HttpContext context, string email, string password)
    {
        var key = await RegisteredEmail.KeyAsync(database, email, context.RequestAborted);
        var address = Secrets.Hash(key);
        // Counted before the hash is computed, so that parallel guesses cannot outrun the count. A client that disconnects from here
        // on does not cancel the attempt.
        var (isAdmitted, lockedFor) = await CountAsync(address);
        if (!isAdmitted)
            return new LoginAttempt(LoginOutcome.Locked, RetryAfter: lockedFor);

        var (candidate, verdict) = await VerifyAsync(key, password);
        if (candidate is null || verdict == PasswordVerificationResult.Failed)
        {
            await database.ExecuteAsync(AuditTrail.EntryOfUnknown(context, AuditActions.SignInFailed, candidate?.Id.ToString()));
            return lockedFor is null ? new LoginAttempt(LoginOutcome.Failed) : new LoginAttempt(LoginOutcome.Locked, RetryAfter: lockedFor);
        }
        await database.ExecuteAsync(new NpgsqlBatchCommand("delete from identity.login_failures where address = $1") { Parameters = { new() { Value = address } } });
        if (candidate.IsFrozen)
            return new LoginAttempt(LoginOutcome.Frozen);
        while (verdict == PasswordVerificationResult.SuccessRehashNeeded)
        {
            if (await RehashAsync(candidate, password) is { } rehashed)
                return new LoginAttempt(LoginOutcome.Succeeded, candidate.Id, rehashed);
            // Another login rehashed the password, or it was changed: check against the current hash.
            (candidate, verdict) = await VerifyAsync(key, password);
            if (candidate is null || verdict == PasswordVerificationResult.Failed)
                return new LoginAttempt(LoginOutcome.Failed);
        }
        return new LoginAttempt(LoginOutcome.Succeeded, candidate.Id, candidate.PasswordHash);
    }

    // The attempt that reaches the limit locks the address, whether it fails or not; a success removes the row with the lock.
    // A count that has locked the address starts again at one when the lock has ended.
    private async Task<(bool IsAdmitted, TimeSpan? LockedFor)> CountAsync(byte[] address)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand("""
            insert into identity.login_failures as f (address, failures, last_at, locked_until)
            values ($1, 1, clock_timestamp(), case when $2 = 1 then clock_timestamp() + $3 end)
            on conflict (address) do update set
                failures = case when f.locked_until is null then f.failures + 1 else 1 end,
                last_at = clock_timestamp(),
                locked_until = case when $2 = 1 or (f.locked_until is null and f.failures + 1 >= $2) then clock_timestamp() + $3 end
            where f.locked_until is null or f.locked_until <= clock_timestamp()
            """)
        {
            Parameters = { new() { Value = address }, new() { Value = _maxFailures }, new() { Value = _lockout } },
        });
        // A statement of its own, because it must see what a concurrent attempt has just committed.
        batch.BatchCommands.Add(new NpgsqlBatchCommand(
            "select extract(epoch from locked_until - clock_timestamp())::float8 from identity.login_failures where address = $1")
        {
            Parameters = { new() { Value = address } },
        });
        await using var reader = await batch.ExecuteReaderAsync(CancellationToken.None);
        var lockedFor = await reader.ReadAsync(CancellationToken.None) && !reader.IsDBNull(0) ? TimeSpan.FromSeconds(reader.GetDouble(0)) : (TimeSpan?)null;
        return (batch.BatchCommands[0].RecordsAffected == 1, lockedFor);
    }

    private async Task<(Candidate? Candidate, PasswordVerificationResult Verdict)> VerifyAsync(string emailKey, string password)
    {
        Candidate? candidate = null;
        await using (var find = database.CreateCommand("select id, password_hash, frozen_at is not null from identity.users where normalized_email = $1"))
        {
            find.Parameters.Add(new() { Value = emailKey });
            await using var reader = await find.ExecuteReaderAsync(CancellationToken.None);
            if (await reader.ReadAsync(CancellationToken.None) && !reader.IsDBNull(1))
                candidate = new Candidate(reader.GetGuid(0), reader.GetString(1), reader.GetBoolean(2));
        }
        return (candidate, candidate is null
            ? passwords.Waste(password)
            : hasher.VerifyHashedPassword(new User { Id = candidate.Id }, candidate.PasswordHash, password));
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
