using Ledger.Core.Transactions;

namespace Ledger.Tests.Posting;

/// <summary>
/// Every kind of command as naive accounting: accounts by their names, each command tried on a copy that replaces the original if every
/// step was possible. It knows neither movements nor shards. Amounts stay far from the limits of what can be stored.
/// </summary>
internal sealed class NaiveBooks
{
    private Dictionary<string, Int128> _balances = [];
    private readonly Dictionary<string, long> _limits = [];
    private readonly Dictionary<Guid, List<(string From, string To, long Amount)>> _posted = [];
    private readonly HashSet<Guid> _gone = [];
    private readonly List<(string Account, Int128 Amount, DateTime? EffectiveAt)> _entries = [];

    /// <summary>The users whose main accounts there are or can be opened.</summary>
    public required IReadOnlySet<Guid> Users { get; init; }

    /// <summary>The other accounts: the name of each by its id, or by its name and currency.</summary>
    public required IReadOnlyDictionary<string, string> Named { get; init; }

    public static string MainOf(Guid user, string currency) => $"{user} {currency}";

    public Int128 BalanceOf(string account) => _balances.GetValueOrDefault(account);

    /// <summary>What had taken effect on an account at a time before everything that says no time.</summary>
    public Int128 InEffect(string account, DateTime at) =>
        _entries.Where(entry => entry.Account == account && entry.EffectiveAt <= at).Aggregate((Int128)0, (sum, entry) => sum + entry.Amount);

    /// <summary>Whether the limit is set: not below what is used.</summary>
    public bool SetLimit(string account, long limit)
    {
        if (BalanceOf(account) < -limit)
            return false;
        _limits[account] = limit;
        return true;
    }

    /// <summary><c>posted</c>, or the code of the rejection and the place of the posting.</summary>
    public string Decide(Command command)
    {
        if (command.Terms?.Reverses is { } original)
        {
            // A reversal is itself not reversible: it is not among the posted ones.
            if (!_posted.TryGetValue(original, out var movements))
                return RejectionCodes.NotReversible;
            if (_gone.Contains(original))
                return RejectionCodes.AlreadyReversed;
            var back = Enumerable.Reverse(movements).Select(movement => (movement.To, movement.From, movement.Amount)).ToList();
            if (Apply(back, command) is { } reason)
                return reason.Code;
            _gone.Add(original);
            return "posted";
        }

        var steps = new List<(string From, string To, long Amount)>();
        if (command.Kind == TransactionKind.Journal)
        {
            foreach (var (place, posting) in command.Terms!.Postings!.Index())
            {
                var (from, to) = (EndOf(posting.From, posting.Amount.Currency), EndOf(posting.To, posting.Amount.Currency));
                if (from is null || to is null)
                    return $"{((from is null ? posting.From : posting.To).UserId is null ? RejectionCodes.AccountUnknown : RejectionCodes.RecipientUnknown)} {place}";
                if (from == to)
                    return $"{RejectionCodes.SameAccount} {place}";
                steps.Add((from, to, posting.Amount.MinorUnits));
            }
        }
        else
        {
            var currency = command.Amount.Currency;
            var own = command.Terms?.AccountId is { } account ? Named[account.ToString()] : MainOf(command.OwnerId!.Value, currency);
            var (world, exchange) = ($"world {currency}", $"exchange {currency}");
            switch (command.Kind)
            {
                case TransactionKind.Deposit:
                    steps.Add((world, own, command.Amount.MinorUnits));
                    break;
                case TransactionKind.Withdrawal:
                    steps.Add((own, world, command.Amount.MinorUnits));
                    break;
                case TransactionKind.Exchange:
                    var buy = command.Terms!.Buy!.Value;
                    steps.Add((own, exchange, command.Amount.MinorUnits));
                    steps.Add(($"exchange {buy.Currency}", MainOf(command.OwnerId!.Value, buy.Currency), buy.MinorUnits));
                    break;
                default:
                    var recipient = command.RecipientId!.Value;
                    var to = Users.Contains(recipient) ? MainOf(recipient, currency) : Named.GetValueOrDefault(recipient.ToString());
                    // Funds before the recipient.
                    if (to is null || !to.EndsWith($" {currency}", StringComparison.Ordinal))
                        return BalanceOf(own) + _limits.GetValueOrDefault(own) < command.Amount.MinorUnits ? RejectionCodes.InsufficientFunds : RejectionCodes.RecipientUnknown;
                    if (to == own)
                        return RejectionCodes.SameAccount;
                    steps.Add((own, to, command.Amount.MinorUnits));
                    break;
            }
        }
        if (Apply(steps, command) is { } rejection)
            return command.Kind == TransactionKind.Journal ? $"{rejection.Code} {rejection.Place}" : rejection.Code;
        _posted[command.Id] = steps;
        return "posted";
    }

    private (string Code, int Place)? Apply(List<(string From, string To, long Amount)> steps, Command command)
    {
        var balances = new Dictionary<string, Int128>(_balances);
        for (var place = 0; place < steps.Count; place++)
        {
            var (from, to, amount) = steps[place];
            balances[from] = balances.GetValueOrDefault(from) - amount;
            balances[to] = balances.GetValueOrDefault(to) + amount;
            var isUnlimited = from.StartsWith("world ", StringComparison.Ordinal) || from.StartsWith("exchange ", StringComparison.Ordinal);
            if (!isUnlimited && balances[from] < -_limits.GetValueOrDefault(from))
                return (RejectionCodes.InsufficientFunds, place);
        }
        _balances = balances;
        foreach (var (from, to, amount) in steps)
        {
            _entries.Add((from, -(Int128)amount, command.Terms?.EffectiveAt));
            _entries.Add((to, amount, command.Terms?.EffectiveAt));
        }
        return null;
    }

    private string? EndOf(PostingEnd end, string currency)
    {
        var name = end switch
        {
            { UserId: { } user } => Users.Contains(user) ? MainOf(user, currency) : null,
            { AccountId: { } id } => Named.GetValueOrDefault(id.ToString()),
            { House: { } house } => Named.GetValueOrDefault($"{house} {currency}"),
            _ => $"world {currency}",
        };
        return name is not null && name.EndsWith($" {currency}", StringComparison.Ordinal) ? name : null;
    }
}
