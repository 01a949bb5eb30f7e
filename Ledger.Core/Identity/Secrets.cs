using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Ledger.Core.Identity;

/// <summary>Random secrets that are shown once and stored as hashes. 256 random bits need no salt and no slow hash.</summary>
public static class Secrets
{
    private const int Bytes = 32;

    /// <summary>Characters of a secret after its prefix.</summary>
    public const int Length = (Bytes * 8 + 5) / 6;

    /// <summary>A new secret with a prefix, by which secret scanners recognise it.</summary>
    public static string New(string prefix) => prefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(Bytes));

    /// <summary>A secret that follows from another one and a random key: with both, it can be made again.</summary>
    public static string Derive(string prefix, byte[] key, string secret) =>
        prefix + Base64Url.EncodeToString(HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(secret)));

    /// <summary>The hash that is stored of a secret.</summary>
    public static byte[] Hash(string secret) => SHA256.HashData(Encoding.UTF8.GetBytes(secret));
}

/// <summary>The credentials of a service account, until they expire or are revoked.</summary>
public static class ApiKey
{
    public const string Prefix = "lk_";

    /// <summary>The length of a whole key.</summary>
    public const int Length = 3 + Secrets.Length;
}

/// <summary>
/// What stands in the audit trail. Names are never changed. The first five, of users who get in and out, are the database's
/// <c>identity.audit.sign_in</c>: they are removed when they are old, all others are kept.
/// </summary>
public static class AuditActions
{
    public const string SignedIn = "signed_in";
    public const string SignInFailed = "sign_in_failed";
    public const string SignedOut = "signed_out";
    public const string PasswordChanged = "password_changed";
    public const string RefreshReused = "refresh_token_reused";
    public const string UserCreated = "user_created";
    public const string UserChanged = "user_changed";
    public const string UserClosed = "user_closed";
    public const string UserFrozen = "user_frozen";
    public const string UserUnfrozen = "user_unfrozen";
    public const string CurrencyAdded = "currency_added";
    public const string CurrencyEnabled = "currency_enabled";
    public const string CurrencyDisabled = "currency_disabled";
    public const string RoleGranted = "role_granted";
    public const string RoleRevoked = "role_revoked";
    public const string ServiceCreated = "service_created";
    public const string ServiceClosed = "service_closed";
    public const string ServiceKeyCreated = "service_key_created";
    public const string ServiceKeyRevoked = "service_key_revoked";
    public const string FailedCommandRetried = "failed_command_retried";
    public const string FailedCommandDropped = "failed_command_dropped";
    public const string HouseAccountOpened = "house_account_opened";
    public const string CreditLimitSet = "credit_limit_set";
    public const string BooksClosed = "books_closed";
    public const string LedgerImported = "ledger_imported";
}
