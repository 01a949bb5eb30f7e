namespace Ledger.Core.Transactions;

/// <summary>The words that stand for kinds and statuses in the database, in URLs and in routing keys.</summary>
public static class TransactionNames
{
    /// <summary>The names of the kinds that this version knows.</summary>
    public static string[] Kinds { get; } = [.. Enum.GetValues<TransactionKind>().Select(Name)];

    public static string Name(this TransactionKind kind) => kind switch
    {
        TransactionKind.Deposit => "deposit",
        TransactionKind.Withdrawal => "withdrawal",
        TransactionKind.Transfer => "transfer",
        TransactionKind.Journal => "journal",
        TransactionKind.Exchange => "exchange",
        TransactionKind.Reversal => "reversal",
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
    };

    public static string Name(this TransactionStatus status) => status switch
    {
        TransactionStatus.Pending => "pending",
        TransactionStatus.Posted => "posted",
        TransactionStatus.Rejected => "rejected",
        TransactionStatus.Failed => "failed",
        _ => throw new ArgumentOutOfRangeException(nameof(status), status, null),
    };

    public static bool TryParseKind(string? name, out TransactionKind kind)
    {
        (var known, kind) = name switch
        {
            "deposit" => (true, TransactionKind.Deposit),
            "withdrawal" => (true, TransactionKind.Withdrawal),
            "transfer" => (true, TransactionKind.Transfer),
            "journal" => (true, TransactionKind.Journal),
            "exchange" => (true, TransactionKind.Exchange),
            "reversal" => (true, TransactionKind.Reversal),
            _ => (false, default),
        };
        return known;
    }

    public static bool TryParseStatus(string? name, out TransactionStatus status)
    {
        (var known, status) = name switch
        {
            "pending" => (true, TransactionStatus.Pending),
            "posted" => (true, TransactionStatus.Posted),
            "rejected" => (true, TransactionStatus.Rejected),
            "failed" => (true, TransactionStatus.Failed),
            _ => (false, default),
        };
        return known;
    }
}
