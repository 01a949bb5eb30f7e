using System.Net;

namespace Ledger.Cli.Load;

/// <summary>What a request is for.</summary>
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

/// <summary>A request and the one answer that it must get.</summary>
internal sealed record PlannedRequest(RequestKind Kind, HttpMethod Method, string Path, LoadUser? User)
{
    public byte[]? Body { get; init; }

    /// <summary>The value of the Authorization header, if it is not the user's own.</summary>
    public string? Bearer { get; init; }

    public string? Key { get; init; }

    public bool RespondAsync { get; init; }

    /// <summary>What a direct answer must say. A command may also be answered 202, and must then be decided likewise.</summary>
    public required HttpStatusCode Status { get; init; }

    /// <summary>The code of the problem that must be stated; null if none.</summary>
    public string? Code { get; init; }

    /// <summary>What the command does to the books once it is posted.</summary>
    public Movement? Movement { get; init; }

    /// <summary>The command that is sent again, or the transaction that is read.</summary>
    public DecidedCommand? About { get; init; }
}

/// <summary>Money that a command moves between wallets of this run. Minor units.</summary>
/// <param name="Kind">As the API calls it.</param>
/// <param name="From">Null for a deposit.</param>
/// <param name="To">Null for a withdrawal.</param>
/// <param name="Reserved">Whether <paramref name="From"/> has set the amount aside.</param>
internal sealed record Movement(string Kind, Wallet? From, Wallet? To, LoadUser? Recipient, long Amount, string Reference, bool Reserved)
{
    public Wallet Own => From ?? To!;
}

/// <summary>A command and what it was answered.</summary>
/// <param name="Answer">The first answer; a 202 among them.</param>
internal sealed record DecidedCommand(PlannedRequest Request, Answer Answer, Guid TransactionId);
