using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Posting;

/// <summary>The ledger as a dictionary: one command after the other, nothing stored, nothing shared. The engine must agree with it.</summary>
internal sealed class NaiveLedger(Market market)
{
    private const int Shards = PostingEngine.SettlementShards;

    // The settlement shards, then the users.
    private readonly NaiveAccounts _accounts = new([.. Enumerable.Repeat((long?)null, Shards), .. market.Users.Select(_ => (long?)0)]);
    private readonly Dictionary<Guid, (DecisionKind, Guid, string?)> _decided = [];
    private readonly Dictionary<(Guid Owner, string Key), Command> _keys = [];

    public Int128 BalanceOf(Guid user) => _accounts.Posted[AccountOf(user)!.Value];

    /// <summary>What the engine must say: where the answer comes from, which transaction it is, and <c>posted</c> or the reason why not.</summary>
    public (DecisionKind Kind, Guid Transaction, string? Outcome) Decide(Command command)
    {
        if (_decided.TryGetValue(command.Id, out var known))
            return (DecisionKind.Known, known.Item2, known.Item3);
        if (command.IdempotencyKey is { } key)
        {
            if (_keys.TryGetValue((command.OwnerId!.Value, key), out var first))
            {
                return (first.Kind, first.RecipientId, first.Amount, first.Reference) == (command.Kind, command.RecipientId, command.Amount, command.Reference)
                    ? (DecisionKind.Replayed, first.Id, _decided[first.Id].Item3)
                    : (DecisionKind.KeyReused, first.Id, null);
            }
            _keys[(command.OwnerId!.Value, key)] = command;
        }
        return _decided[command.Id] = (DecisionKind.Decided, command.Id, Settle(command));
    }

    private string Settle(Command command)
    {
        var own = AccountOf(command.OwnerId)!.Value;
        var settlement = _decided.Count % Shards;
        var (from, to) = command.Kind switch
        {
            TransactionKind.Deposit => (settlement, own),
            TransactionKind.Withdrawal => (own, settlement),
            _ => (own, AccountOf(command.RecipientId)),
        };
        if (to is { } credited)
            return _accounts.Apply([], [new Movement(from, credited, command.Amount.MinorUnits)]) ?? "posted";
        return _accounts.Posted[from] < command.Amount.MinorUnits ? RejectionCodes.InsufficientFunds : RejectionCodes.RecipientUnknown;
    }

    private int? AccountOf(Guid? user) => market.Users.Index().Where(item => item.Item == user).Select(item => (int?)item.Index + Shards).FirstOrDefault();
}
