using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Posting;

/// <summary>The ledger as a dictionary: one command after the other, nothing stored, nothing shared. What the engine must agree with.</summary>
internal sealed class NaiveLedger(Market market)
{
    private readonly Dictionary<Guid, Int128> _balances = market.Users.ToDictionary(user => user, _ => (Int128)0);
    private readonly Dictionary<Guid, (DecisionKind, Guid, string?)> _decided = [];
    private readonly Dictionary<(Guid Owner, string Key), Command> _keys = [];

    public Int128 BalanceOf(Guid user) => _balances[user];

    /// <summary>What the engine must say: where the answer comes from, which transaction it is, and <c>posted</c> or the reason why not.</summary>
    public (DecisionKind Kind, Guid Transaction, string? Outcome) Decide(Command command)
    {
        if (_decided.TryGetValue(command.Id, out var known))
            return (DecisionKind.Known, known.Item2, known.Item3);
        if (command.IdempotencyKey is { } key)
        {
            if (_keys.TryGetValue((command.OwnerId, key), out var first))
            {
                return first.RequestHash![0] == command.RequestHash![0]
                    ? (DecisionKind.Replayed, first.Id, _decided[first.Id].Item3)
                    : (DecisionKind.KeyReused, first.Id, null);
            }
            _keys[(command.OwnerId, key)] = command;
        }
        return _decided[command.Id] = (DecisionKind.Decided, command.Id, Settle(command));
    }

    private string Settle(Command command)
    {
        Guid? from = command.Kind == TransactionKind.Deposit ? null : command.OwnerId;
        var to = command.Kind switch
        {
            TransactionKind.Deposit => command.OwnerId,
            TransactionKind.Transfer => command.RecipientId ?? Guid.Empty,
            _ => (Guid?)null,
        };
        if (to is { } recipient && !_balances.ContainsKey(recipient))
            return RejectionCodes.RecipientUnknown;
        if (from is { } owner && _balances[owner] < command.Amount)
            return RejectionCodes.InsufficientFunds;
        if (to is { } credited && _balances[credited] + command.Amount > Judge.BalanceLimit)
            return RejectionCodes.BalanceOverflow;

        if (from is { } debit)
            _balances[debit] -= command.Amount;
        if (to is { } credit)
            _balances[credit] += command.Amount;
        return "posted";
    }
}
