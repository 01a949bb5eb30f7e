using System.Security.Cryptography;

namespace Ledger.Core.Transactions;

/// <summary>
/// The digest of a decided transaction with its entries: SHA-256 over the canonical form that <c>docs/journal.md</c> describes. The
/// engine stores it with the transaction, and the journal's blocks are chained over it.
/// </summary>
public static class TransactionDigest
{
    /// <summary>The first field of the canonical form. Another form has another one.</summary>
    public const string Form = "ledger transaction 1";

    public static byte[] Of(Transaction transaction) => Of(transaction, new CanonicalWriter());

    /// <summary>The same, in memory of the caller's that is used again.</summary>
    public static byte[] Of(Transaction transaction, CanonicalWriter fields)
    {
        fields.Clear();
        fields.Write(Form);
        fields.Write(transaction.Id);
        fields.Write(transaction.Kind);
        fields.Write(transaction.Status.Name());
        fields.Write(transaction.PrincipalId);
        fields.Write(transaction.OwnerId);
        fields.Write(transaction.RecipientId);
        // A command that failed may have no amount that can be stored.
        var hasAmount = !string.IsNullOrEmpty(transaction.Amount.Currency);
        fields.Write(hasAmount ? transaction.Amount.Currency : null);
        fields.Write(hasAmount ? transaction.Amount.MinorUnits : (long?)null);
        fields.Write(transaction.Reference);
        fields.Write(transaction.Metadata);
        fields.Write(transaction.Details);
        fields.Write(transaction.CreatedAt);
        fields.Write(transaction.DecidedAt);
        fields.Write(transaction.EffectiveAt);
        fields.Write(transaction.Reverses);
        fields.Write(transaction.HoldId);
        fields.Write(transaction.Rejection?.Code);
        fields.Write(transaction.Rejection?.Available);
        fields.Write((long?)transaction.Rejection?.Index);
        fields.Write(transaction.Failure);
        fields.Write(transaction.Entries.Count);
        foreach (var entry in transaction.Entries)
        {
            fields.Write(entry.AccountId);
            fields.Write(entry.Amount.Currency);
            fields.Write(entry.Amount.MinorUnits);
            fields.Write(entry.BalanceAfter);
        }
        return SHA256.HashData(fields.Written);
    }
}
