using System.Globalization;
using System.Net;
using Ledger.Core.Currencies;

namespace Ledger.Cli.Load;

/// <summary>The source of random requests. One thread calls <see cref="Next"/> whenever a request is due.</summary>
internal sealed class RequestMix(LoadOptions options, string run, IReadOnlyList<LoadUser> users)
{
    private const int MaxAmount = 10_000;

    // Percent.
    private static readonly (RequestKind Kind, int Weight)[] s_weights =
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

    private readonly string? _depositor = options.ApiKey is { } key ? $"Bearer {key}" : null;
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
            RequestKind.Balances => Read(RequestKind.Balances, "/balances", user),
            RequestKind.BalanceInOneCurrency => Read(RequestKind.BalanceInOneCurrency, $"/balances/{Any(user.Wallets).Currency.Code}", user),
            RequestKind.OneTransaction => OneTransaction() ?? Deposit(user),
            RequestKind.Transactions => Read(
                RequestKind.Transactions,
                string.Create(CultureInfo.InvariantCulture, $"/transactions?limit={_random.Next(1, 50)}&currency={Any(user.Wallets).Currency.Code}"), user),
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
            _ => Deposit(user),
        };
    }

    /// <summary>The first deposit of a wallet.</summary>
    public PlannedRequest Fund(LoadUser user, Wallet wallet)
    {
        _number++;
        return Command(RequestKind.Deposit, user, new Movement("deposit", null, wallet, null, 20 * MaxAmount, Reference(), Reserved: false));
    }

    private RequestKind Draw()
    {
        var ticket = _random.Next(s_weights.Sum(weight => weight.Weight));
        foreach (var (kind, weight) in s_weights)
        {
            if ((ticket -= weight) < 0)
                return kind;
        }
        throw new InvalidOperationException("A ticket exceeds the sum of the weights.");
    }

    private PlannedRequest Deposit(LoadUser user) =>
        Command(RequestKind.Deposit, user, new Movement("deposit", null, Any(user.Wallets), null, _random.Next(1, 2 * MaxAmount), Reference(), Reserved: false));

    private PlannedRequest? Withdrawal(LoadUser user)
    {
        var wallet = Any(user.Wallets);
        var amount = _random.Next(1, MaxAmount);
        return wallet.TryReserve(amount)
            ? Command(RequestKind.Withdrawal, user, new Movement("withdrawal", wallet, null, null, amount, Reference(), Reserved: true))
            : null;
    }

    private PlannedRequest? Transfer(LoadUser user, bool byEmail)
    {
        var recipient = AnyBut(user);
        var place = _random.Next(user.Wallets.Count);
        var wallet = user.Wallets[place];
        var amount = _random.Next(1, MaxAmount);
        if (!wallet.TryReserve(amount))
            return null;
        var movement = new Movement("transfer", wallet, recipient.Wallets[place], recipient, amount, Reference(), Reserved: true);
        return Command(byEmail ? RequestKind.TransferByEmail : RequestKind.TransferById, user, movement);
    }

    /// <summary>A withdrawal of more than the users of the run can have.</summary>
    private PlannedRequest TooMuch(LoadUser user) => Command(
        RequestKind.TooMuch, user,
        new Movement("withdrawal", Any(user.Wallets), null, null, Currency.MaxAmount - _random.Next(1_000_000), Reference(), Reserved: false)) with
    {
        Status = HttpStatusCode.UnprocessableEntity,
        Code = "insufficient_funds",
    };

    private PlannedRequest TooPrecise(LoadUser user)
    {
        var currency = Any(user.Wallets).Currency;
        var amount = $"{_random.Next(1, MaxAmount)}.{new string('0', currency.Exponent)}1";
        return Refused(RequestKind.TooPrecise, user, new MoneyOrder(currency.Code, amount, Reference(), BehalfOf(user)), HttpStatusCode.BadRequest, "amount_precision");
    }

    // A deposit with an API key must name the user.
    private Guid? BehalfOf(LoadUser user) => _depositor is null ? null : user.Id;

    private PlannedRequest UnknownCurrency(LoadUser user) => Refused(
        RequestKind.UnknownCurrency, user,
        new MoneyOrder(string.Create(CultureInfo.InvariantCulture, $"X{_random.Next(100, 1000)}Q"), "1", Reference(), BehalfOf(user)),
        HttpStatusCode.UnprocessableEntity, "currency_unknown");

    private PlannedRequest Refused(RequestKind kind, LoadUser user, MoneyOrder order, HttpStatusCode status, string code) =>
        new(kind, HttpMethod.Post, "/deposits", user)
        {
            Bearer = _depositor,
            Body = LedgerClient.Body(order, ContractJson.Default.MoneyOrder),
            Status = status,
            Code = code,
        };

    /// <summary>A command sent again with the same key and body, which must get the same answer.</summary>
    private PlannedRequest? Replay() => Recent(command => command.Request.Key is not null) is { } command
        ? command.Request with { Kind = RequestKind.Replay, Movement = null, RespondAsync = false, About = command }
        : null;

    /// <summary>A command sent again with the same key and a different amount.</summary>
    private PlannedRequest? KeyReused() => Recent(command => command.Request.Key is not null) is { } command
        ? command.Request with
        {
            Kind = RequestKind.KeyReused,
            Body = BodyOf(command.Request.User!, command.Request.Movement! with { Amount = MaxAmount * 3 + _random.Next(MaxAmount) }, byEmail: false),
            Movement = null,
            RespondAsync = false,
            Status = HttpStatusCode.UnprocessableEntity,
            Code = "idempotency_key_reused",
        }
        : null;

    private PlannedRequest? OneTransaction() => Recent(_ => true) is { } command
        ? Read(RequestKind.OneTransaction, $"/transactions/{command.TransactionId}", command.Request.User!) with { About = command }
        : null;

    /// <summary>A read of another user's transaction, whose existence the API must not reveal.</summary>
    private PlannedRequest? AnothersTransaction(LoadUser user) =>
        Recent(command => command.Request.User != user && command.Request.Movement!.Recipient != user) is { } command
            ? new PlannedRequest(RequestKind.AnothersTransaction, HttpMethod.Get, $"/transactions/{command.TransactionId}", user)
            {
                Status = HttpStatusCode.NotFound,
                Code = "not_found",
            }
            : null;

    private static PlannedRequest Read(RequestKind kind, string path, LoadUser user) =>
        new(kind, HttpMethod.Get, path, user) { Status = HttpStatusCode.OK };

    private PlannedRequest Command(RequestKind kind, LoadUser user, Movement movement) =>
        new(kind, HttpMethod.Post, $"/{movement.Kind}s", user)
        {
            Bearer = IsDeposit(movement) ? _depositor : null,
            Body = BodyOf(user, movement, kind == RequestKind.TransferByEmail),
            // Every command needs a key if it can be retried; otherwise half of them have one, to cover both cases.
            Key = options.TolerateOutage || _random.Next(2) == 0 ? string.Create(CultureInfo.InvariantCulture, $"{run}-{_number}") : null,
            RespondAsync = _random.Next(20) == 0,
            Status = HttpStatusCode.Created,
            Movement = movement,
        };

    private static bool IsDeposit(Movement movement) => movement.From is null;

    private byte[] BodyOf(LoadUser user, Movement movement, bool byEmail)
    {
        var currency = movement.Own.Currency;
        var amount = currency.FormatAmount(movement.Amount);
        return movement.Recipient is { } recipient
            ? LedgerClient.Body(
                new TransferOrder(byEmail ? recipient.Credentials.Email : recipient.Id.ToString(), currency.Code, amount, movement.Reference),
                ContractJson.Default.TransferOrder)
            : LedgerClient.Body(
                new MoneyOrder(currency.Code, amount, movement.Reference, IsDeposit(movement) ? BehalfOf(user) : null), ContractJson.Default.MoneyOrder);
    }

    private string Reference() => string.Create(CultureInfo.InvariantCulture, $"load {run} #{_number}");

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
