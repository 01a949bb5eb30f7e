using System.Globalization;
using System.Net;
using Ledger.Core.Currencies;

namespace Ledger.Cli.Load;

/// <summary>The source of random requests. One thread calls <see cref="Next"/> whenever a request is due.</summary>
/// <param name="backend">Who sends deposits, journals, exchanges and reversals; null if users deposit for themselves and the other kinds are left out.</param>
/// <param name="houses">The books of the house, in the order of the users' wallets.</param>
internal sealed class RequestMix(LoadOptions options, string run, IReadOnlyList<LoadUser> users, Caller? backend, IReadOnlyList<House> houses)
{
    /// <summary>The largest amount of most commands, in minor units.</summary>
    public const int MaxAmount = 10_000;

    /// <summary>The key of the metadata of journals and reversals. The value is the run.</summary>
    public const string Metadata = "load";

    // In percent of the mix that users send.
    private static readonly (RequestKind Kind, int Weight)[] s_ofUsers =
    [
        (RequestKind.Deposit, 20),
        (RequestKind.Withdrawal, 10),
        (RequestKind.TransferById, 15),
        (RequestKind.TransferByEmail, 10),
        (RequestKind.Balances, 8),
        (RequestKind.BalanceInOneCurrency, 6),
        (RequestKind.OneTransaction, 8),
        (RequestKind.Transactions, 5),
        (RequestKind.TooMuch, 4),
        (RequestKind.TooPrecise, 2),
        (RequestKind.UnknownCurrency, 2),
        (RequestKind.Replay, 5),
        (RequestKind.KeyReused, 1),
        (RequestKind.AnothersTransaction, 3),
        (RequestKind.NoToken, 1),
    ];

    // These need a service account or an operator.
    private static readonly (RequestKind Kind, int Weight)[] s_ofBackends =
    [
        (RequestKind.Exchange, 12),
        (RequestKind.Reversal, 8),
        (RequestKind.ReversalTwice, 4),
        (RequestKind.ReversalAgain, 2),
    ];

    // These need an operator.
    private static readonly (RequestKind Kind, int Weight)[] s_ofOperators =
    [
        (RequestKind.Purchase, 15),
        (RequestKind.PurchaseTooMuch, 3),
        (RequestKind.Credit, 8),
        (RequestKind.CreditTooMuch, 4),
        (RequestKind.CreditRepaid, 4),
    ];

    private readonly (RequestKind Kind, int Weight)[] _weights =
        [.. s_ofUsers, .. backend is null ? [] : s_ofBackends, .. options.Operator is null ? [] : s_ofOperators];

    private readonly Dictionary<string, string> _metadata = new() { [Metadata] = run };
    private readonly Random _random = new(options.Seed);
    private readonly DecidedCommand?[] _recent = new DecidedCommand?[1024];
    private uint _decided;
    private long _number;

    /// <summary>Stores a command that later requests can refer to. Thread-safe.</summary>
    public void Remember(DecidedCommand command) =>
        Volatile.Write(ref _recent[Interlocked.Increment(ref _decided) % (uint)_recent.Length], command);

    /// <summary>The next request. A kind that is not possible yet becomes a deposit.</summary>
    public PlannedRequest Next()
    {
        _number++;
        var user = Any(users);
        return Draw() switch
        {
            RequestKind.Withdrawal => Withdrawal(user) ?? Deposit(user),
            RequestKind.TransferById => Transfer(user, byEmail: false) ?? Deposit(user),
            RequestKind.TransferByEmail => Transfer(user, byEmail: true) ?? Deposit(user),
            RequestKind.Balances => Read(RequestKind.Balances, "/balances", user.Caller),
            RequestKind.BalanceInOneCurrency => Read(RequestKind.BalanceInOneCurrency, $"/balances/{Any(user.Wallets).Currency.Code}", user.Caller),
            RequestKind.OneTransaction => OneTransaction() ?? Deposit(user),
            RequestKind.Transactions => Read(
                RequestKind.Transactions,
                string.Create(CultureInfo.InvariantCulture, $"/transactions?limit={_random.Next(1, 50)}&currency={Any(user.Wallets).Currency.Code}"), user.Caller),
            RequestKind.TooMuch => TooMuch(user),
            RequestKind.TooPrecise => TooPrecise(user),
            RequestKind.UnknownCurrency => UnknownCurrency(user),
            RequestKind.Replay => Replay() ?? Deposit(user),
            RequestKind.KeyReused => KeyReused() ?? Deposit(user),
            RequestKind.AnothersTransaction => AnothersTransaction(user) ?? Deposit(user),
            RequestKind.NoToken => new PlannedRequest(RequestKind.NoToken, HttpMethod.Get, "/balances", null)
            {
                Status = HttpStatusCode.Unauthorized,
                Code = "unauthenticated",
            },
            RequestKind.Exchange => Exchange(user) ?? Deposit(user),
            RequestKind.Reversal => Reversal(RequestKind.Reversal) ?? Deposit(user),
            RequestKind.ReversalTwice => Reversal(RequestKind.ReversalTwice) ?? Deposit(user),
            RequestKind.ReversalAgain => ReversalAgain() ?? Deposit(user),
            RequestKind.Purchase => Purchase(user) ?? Deposit(user),
            RequestKind.PurchaseTooMuch => PurchaseTooMuch(user),
            RequestKind.Credit => Credit(user) ?? Deposit(user),
            RequestKind.CreditTooMuch => CreditTooMuch(user) ?? Deposit(user),
            RequestKind.CreditRepaid => CreditRepaid(user) ?? Deposit(user),
            _ => Deposit(user),
        };
    }

    /// <summary>The first deposit of a wallet.</summary>
    public PlannedRequest Fund(LoadUser user, Wallet wallet)
    {
        _number++;
        return Command(RequestKind.Deposit, Movement.Of("deposit", user, new Leg(null, wallet, 20 * MaxAmount), Reference()));
    }

    private RequestKind Draw()
    {
        var ticket = _random.Next(_weights.Sum(weight => weight.Weight));
        foreach (var (kind, weight) in _weights)
        {
            if ((ticket -= weight) < 0)
                return kind;
        }
        throw new InvalidOperationException("A ticket exceeds the sum of the weights.");
    }

    private PlannedRequest Deposit(LoadUser user) =>
        Command(RequestKind.Deposit, Movement.Of("deposit", user, new Leg(null, Any(user.Wallets), _random.Next(1, 2 * MaxAmount)), Reference()));

    private PlannedRequest? Withdrawal(LoadUser user) =>
        Covered(RequestKind.Withdrawal, Movement.Of("withdrawal", user, new Leg(Any(user.Wallets), null, _random.Next(1, MaxAmount)), Reference()));

    private PlannedRequest? Transfer(LoadUser user, bool byEmail)
    {
        var place = _random.Next(user.Wallets.Count);
        return Covered(
            byEmail ? RequestKind.TransferByEmail : RequestKind.TransferById,
            Movement.Of("transfer", user, new Leg(user.Wallets[place], AnyBut(user).Wallets[place], _random.Next(1, MaxAmount)), Reference()));
    }

    /// <summary>A withdrawal of more than the users of the run can have.</summary>
    private PlannedRequest TooMuch(LoadUser user) => Rejected(
        RequestKind.TooMuch, Movement.Of("withdrawal", user, new Leg(Any(user.Wallets), null, Unaffordable()), Reference()), "insufficient_funds");

    private PlannedRequest? Exchange(LoadUser user)
    {
        if (houses.Count < 2)
            return null;
        var (sold, bought) = (_random.Next(houses.Count), _random.Next(houses.Count - 1));
        bought += bought >= sold ? 1 : 0;
        var legs = new Leg[]
        {
            new(user.Wallets[sold], houses[sold].Exchange, _random.Next(1, MaxAmount)),
            new(houses[bought].Exchange, user.Wallets[bought], _random.Next(1, MaxAmount)),
        };
        return Covered(RequestKind.Exchange, new Movement("exchange", user, user.Wallets[sold].Currency, legs[0].Amount, legs, Reference()));
    }

    /// <summary>A reversal of a transaction that was not reversed before, if the books cover it.</summary>
    private PlannedRequest? Reversal(RequestKind kind)
    {
        if (Recent(command => command.IsReversible && command.TryClaimReversal()) is not { } original)
            return null;
        if (Covered(kind, ReversalOf(original)) is { } request)
            return request with { About = original };
        original.AbandonReversal();
        return null;
    }

    private PlannedRequest? ReversalAgain() => Recent(command => command.IsReversed) is { } original
        ? Rejected(RequestKind.ReversalAgain, ReversalOf(original), "already_reversed") with { Status = HttpStatusCode.Conflict }
        : null;

    // The last leg first, as the ledger does it.
    private Movement ReversalOf(DecidedCommand original) => new(
        "reversal", null, original.Movement.Currency, original.Movement.Amount, [.. original.Movement.Legs.Reverse().Select(leg => leg.Reversed)], Reference(), original.TransactionId);

    /// <summary>A price to the seller, a fee and a tax to the house.</summary>
    private PlannedRequest? Purchase(LoadUser user)
    {
        var place = _random.Next(houses.Count);
        var (buyer, price) = (user.Wallets[place], _random.Next(100, MaxAmount));
        return Covered(RequestKind.Purchase, Journal(
            new Leg(buyer, AnyBut(user).Wallets[place], price - price / 50 - price / 100),
            new Leg(buyer, houses[place].Fees, price / 50),
            new Leg(buyer, houses[place].Tax, price / 100)));
    }

    /// <summary>A journal whose first posting alone is possible.</summary>
    private PlannedRequest PurchaseTooMuch(LoadUser user)
    {
        var place = _random.Next(houses.Count);
        var journal = Journal(
            new Leg(null, AnyBut(user).Wallets[place], _random.Next(1, MaxAmount)),
            new Leg(user.Wallets[place], houses[place].Fees, Unaffordable()));
        return Rejected(RequestKind.PurchaseTooMuch, journal, "insufficient_funds") with { Rejection = new("insufficient_funds", 1, null) };
    }

    private Movement Journal(params Leg[] legs) =>
        new("journal", null, (legs[0].From ?? legs[0].To!).Currency, legs.Sum(leg => leg.Amount), legs, Reference());

    /// <summary>A withdrawal from the account with a credit limit; one in four takes all that the limit allows.</summary>
    private PlannedRequest? Credit(LoadUser user)
    {
        if (user.CreditLine is not { } line || !line.TryOccupy())
            return null;
        var amount = _random.Next(4) == 0 ? Math.Max(1, line.Spendable) : _random.Next(1, MaxAmount);
        if (Covered(RequestKind.Credit, Movement.Of("withdrawal", user, new Leg(line, null, amount), Reference())) is { } request)
            return request;
        line.Vacate();
        return null;
    }

    /// <summary>A withdrawal beyond the credit limit; half of them by one minor unit.</summary>
    private PlannedRequest? CreditTooMuch(LoadUser user)
    {
        if (user.CreditLine is not { } line || !line.TryOccupy())
            return null;
        var beyond = _random.Next(2) == 0 ? 1 : _random.Next(1, MaxAmount);
        var withdrawal = Movement.Of("withdrawal", user, new Leg(line, null, line.Spendable + beyond), Reference());
        return Rejected(RequestKind.CreditTooMuch, withdrawal, "insufficient_funds") with
        {
            Rejection = new("insufficient_funds", null, line.Currency.FormatAmount(line.Spendable)),
        };
    }

    /// <summary>A transfer from the main account to the account with a credit limit.</summary>
    private PlannedRequest? CreditRepaid(LoadUser user)
    {
        if (user.CreditLine is not { } line || !line.TryOccupy())
            return null;
        var main = user.Wallets.First(wallet => wallet.Currency == line.Currency);
        if (Covered(RequestKind.CreditRepaid, Movement.Of("transfer", user, new Leg(main, line, _random.Next(1, 2 * MaxAmount)), Reference())) is { } request)
            return request;
        line.Vacate();
        return null;
    }

    private PlannedRequest TooPrecise(LoadUser user)
    {
        var currency = Any(user.Wallets).Currency;
        var amount = $"{_random.Next(1, MaxAmount)}.{new string('0', currency.Exponent)}1";
        return Refused(RequestKind.TooPrecise, user, new MoneyOrder(currency.Code, amount, Reference(), BehalfOf(user)), HttpStatusCode.BadRequest, "amount_precision");
    }

    // A deposit of a backend must name the user.
    private Guid? BehalfOf(LoadUser user) => backend is null ? null : user.Id;

    private PlannedRequest UnknownCurrency(LoadUser user) => Refused(
        RequestKind.UnknownCurrency, user,
        new MoneyOrder(string.Create(CultureInfo.InvariantCulture, $"X{_random.Next(100, 1000)}Q"), "1", Reference(), BehalfOf(user)),
        HttpStatusCode.UnprocessableEntity, "currency_unknown");

    private PlannedRequest Refused(RequestKind kind, LoadUser user, MoneyOrder order, HttpStatusCode status, string code) =>
        new(kind, HttpMethod.Post, "/deposits", backend ?? user.Caller)
        {
            Body = LedgerClient.Body(order, ContractJson.Default.MoneyOrder),
            Status = status,
            Code = code,
        };

    /// <summary>A command sent again with the same key and body, which must get the same answer.</summary>
    private PlannedRequest? Replay() => Recent(command => command.Request.Key is not null && command.IsAsPlanned) is { } command
        ? command.Request with { Kind = RequestKind.Replay, Movement = null, RespondAsync = false, About = command }
        : null;

    /// <summary>A command sent again with the same key and a different amount.</summary>
    private PlannedRequest? KeyReused() => Recent(command => command.Request.Key is not null && command.Movement.Reverses is null) is { } command
        ? command.Request with
        {
            Kind = RequestKind.KeyReused,
            Body = BodyOf(WithAnotherAmount(command.Movement), command.Request.Caller!, byEmail: false),
            Movement = null,
            RespondAsync = false,
            Status = HttpStatusCode.UnprocessableEntity,
            Code = "idempotency_key_reused",
        }
        : null;

    private Movement WithAnotherAmount(Movement movement) => movement with
    {
        Legs = [movement.Legs[0] with { Amount = MaxAmount * 3 + _random.Next(MaxAmount) }, .. movement.Legs.Skip(1)],
    };

    private PlannedRequest? OneTransaction() => Recent(_ => true) is { } command
        ? Read(RequestKind.OneTransaction, $"/transactions/{command.TransactionId}", command.Request.Reader) with { About = command }
        : null;

    /// <summary>A read of another user's transaction, whose existence the API must not reveal.</summary>
    private PlannedRequest? AnothersTransaction(LoadUser user) =>
        Recent(command => command.Movement.Owner != user && !command.Movement.Users.Contains(user)) is { } command
            ? new PlannedRequest(RequestKind.AnothersTransaction, HttpMethod.Get, $"/transactions/{command.TransactionId}", user.Caller)
            {
                Status = HttpStatusCode.NotFound,
                Code = "not_found",
            }
            : null;

    private static PlannedRequest Read(RequestKind kind, string path, Caller caller) =>
        new(kind, HttpMethod.Get, path, caller) { Status = HttpStatusCode.OK };

    /// <summary>A command that must be posted; null if the books do not cover it.</summary>
    private PlannedRequest? Covered(RequestKind kind, Movement movement) => movement.TryReserve() ? Command(kind, movement) : null;

    private PlannedRequest Rejected(RequestKind kind, Movement movement, string code) => Command(kind, movement) with
    {
        Status = HttpStatusCode.UnprocessableEntity,
        Code = code,
    };

    private PlannedRequest Command(RequestKind kind, Movement movement)
    {
        var caller = movement.Kind is "withdrawal" or "transfer" ? movement.Owner!.Caller : backend ?? movement.Owner!.Caller;
        return new(kind, HttpMethod.Post, CommandBody.PathOf(movement), caller)
        {
            Body = BodyOf(movement, caller, kind == RequestKind.TransferByEmail),
            // Every command needs a key if it can be retried; otherwise half of them have one, to cover both cases.
            Key = options.TolerateOutage || _random.Next(2) == 0 ? string.Create(CultureInfo.InvariantCulture, $"{run}-{_number}") : null,
            RespondAsync = _random.Next(20) == 0,
            Status = HttpStatusCode.Created,
            Movement = movement,
        };
    }

    private byte[] BodyOf(Movement movement, Caller caller, bool byEmail) => CommandBody.Of(movement, _metadata, caller == backend, byEmail);

    private string Reference() => string.Create(CultureInfo.InvariantCulture, $"load {run} #{_number}");

    private long Unaffordable() => Currency.MaxAmount - _random.Next(1_000_000);

    private DecidedCommand? Recent(Predicate<DecidedCommand> predicate)
    {
        for (var attempt = 0; attempt < 16; attempt++)
        {
            var known = Math.Min(Volatile.Read(ref _decided), (uint)_recent.Length);
            if (known > 0 && Volatile.Read(ref _recent[_random.Next((int)known)]) is { } command && predicate(command))
                return command;
        }
        return null;
    }

    private T Any<T>(IReadOnlyList<T> list) => list[_random.Next(list.Count)];

    private LoadUser AnyBut(LoadUser user)
    {
        while (true)
        {
            if (Any(users) is var other && other != user)
                return other;
        }
    }
}
