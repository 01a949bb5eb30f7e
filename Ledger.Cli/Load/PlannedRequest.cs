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
}

/// <summary>A request and its expected answer.</summary>
internal sealed record PlannedRequest(RequestKind Kind, HttpMethod Method, string Path, LoadUser? User)
{
    public byte[]? Body { get; init; }

    /// <summary>The value of the Authorization header; null for the user's own.</summary>
    public string? Bearer { get; init; }

    public string? Key { get; init; }

    public bool RespondAsync { get; init; }

    /// <summary>The expected status. A command may also be answered 202, and must then be decided accordingly.</summary>
    public required HttpStatusCode Status { get; init; }

    /// <summary>The expected problem code; null for none.</summary>
    public string? Code { get; init; }

    /// <summary>The effect of the command on the books once it is posted; null for other requests.</summary>
    public Movement? Movement { get; init; }

    /// <summary>The earlier command that is sent again or read.</summary>
    public DecidedCommand? About { get; init; }
}

/// <summary>Money that a command moves between wallets of the run.</summary>
/// <param name="Kind">The kind of the transaction in the API, such as <c>deposit</c>.</param>
/// <param name="From">Null for a deposit.</param>
/// <param name="To">Null for a withdrawal.</param>
/// <param name="Amount">In minor units.</param>
/// <param name="Reserved">Whether the amount is reserved in <paramref name="From"/>.</param>
internal sealed record Movement(string Kind, Wallet? From, Wallet? To, LoadUser? Recipient, long Amount, string Reference, bool Reserved)
{
    public Wallet Own => From ?? To!;
}

/// <summary>A command that was decided, and its answer.</summary>
/// <param name="Answer">The first answer, which can be a 202.</param>
internal sealed record DecidedCommand(PlannedRequest Request, Answer Answer, Guid TransactionId);
