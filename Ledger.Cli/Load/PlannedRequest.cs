using System.Net;

namespace Ledger.Cli.Load;

/// <summary>The kind of a request. In snake case, it is the label <c>operation</c> of the metrics.</summary>
internal enum RequestKind
{
    Deposit,
    Withdrawal,
    TransferById,
    TransferByEmail,
    Balances,
    BalanceInOneCurrency,
    OneTransaction,
    Transactions,
    TooMuch,
    TooPrecise,
    UnknownCurrency,
    Replay,
    KeyReused,
    AnothersTransaction,
    NoToken,
    Exchange,
    Reversal,
    /// <summary>Two reversals of one transaction at once, of which one is posted.</summary>
    ReversalTwice,
    /// <summary>A reversal of a transaction that was reversed before.</summary>
    ReversalAgain,
    /// <summary>A journal: the price to the seller, a fee and a tax to the house.</summary>
    Purchase,
    /// <summary>A journal whose second posting is not covered.</summary>
    PurchaseTooMuch,
    /// <summary>A withdrawal within the credit limit of an account.</summary>
    Credit,
    /// <summary>A withdrawal beyond the credit limit of an account, in part by one minor unit.</summary>
    CreditTooMuch,
    CreditRepaid,
}

/// <summary>A request and its expected answer.</summary>
/// <param name="Caller">Null for a request without a token.</param>
internal sealed record PlannedRequest(RequestKind Kind, HttpMethod Method, string Path, Caller? Caller)
{
    public byte[]? Body { get; init; }

    public string? Key { get; init; }

    public bool RespondAsync { get; init; }

    /// <summary>The expected status. A command may also be answered 202, and must then be decided accordingly.</summary>
    public required HttpStatusCode Status { get; init; }

    /// <summary>The expected problem code; null for none.</summary>
    public string? Code { get; init; }

    /// <summary>The expected fields of the rejection, as far as they are known.</summary>
    public RejectionBody? Rejection { get; init; }

    /// <summary>The effect of the command on the books once it is posted; null for other requests. Its debits are reserved unless <see cref="Code"/> is set.</summary>
    public Movement? Movement { get; init; }

    /// <summary>The earlier command that is sent again, read or reversed.</summary>
    public DecidedCommand? About { get; init; }

    /// <summary>Who asks for the outcome of the command: its owner, or else its sender.</summary>
    public Caller Reader => Movement!.Owner?.Caller ?? Caller!;
}

/// <summary>A command that was decided, and its answer.</summary>
/// <param name="Answer">The first answer, which can be a 202.</param>
internal sealed record DecidedCommand(PlannedRequest Request, Answer Answer, Guid TransactionId, bool IsPosted)
{
    private int _reversals;
    private volatile bool _isReversed;

    public Movement Movement => Request.Movement!;

    /// <summary>Whether it was decided as the request expects. Of two reversals at once, one is not.</summary>
    public bool IsAsPlanned => IsPosted == (Request.Code is null);

    /// <summary>Whether a reversal of it was posted.</summary>
    public bool IsReversed => _isReversed;

    /// <summary>Whether the run may reverse it. Commands on credit lines come one at a time, so that they are never reversed.</summary>
    public bool IsReversible => IsPosted && Movement.Reverses is null && Movement.Wallets.All(wallet => wallet.AccountId is null);

    /// <summary>Claims the transaction for a reversal; false if another reversal has it.</summary>
    public bool TryClaimReversal() => Interlocked.Exchange(ref _reversals, 1) == 0;

    public void AbandonReversal() => Volatile.Write(ref _reversals, 0);

    public void MarkReversed() => _isReversed = true;
}
