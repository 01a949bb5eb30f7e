using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Ledger.Cli.Load;
using Ledger.Core.Currencies;

namespace Ledger.Tests.Cli;

/// <summary>The books of <c>ledger load</c> against an API that reports one figure or transaction wrongly.</summary>
public sealed partial class LoadBooksTests
{
    private static readonly Currency Euro = new("EUR", "Euro", 2, Enabled: true);
    private static readonly Currency Yen = new("JPY", "Yen", 0, Enabled: true);

    private readonly LoadUser _buyer = NewUser("buyer");
    private readonly LoadUser _seller = NewUser("seller");
    private readonly House[] _houses = [NewHouse(Euro), NewHouse(Yen)];
    private readonly Caller _staff = new(new Credentials("operator@example.com", ""));
    private readonly Tally _tally = new();
    private readonly Dictionary<(Caller, string), JsonNode> _answers = [];
    private readonly Ledger.Cli.Load.Books _books;

    public LoadBooksTests()
    {
        _books = new(_tally, (caller, path) => Task.FromResult(new Answer(HttpStatusCode.OK, JsonSerializer.SerializeToUtf8Bytes(_answers[(caller, path)]), Replayed: false)));
        _buyer.CreditLine = new Wallet(Euro, _buyer, "credit") { AccountId = Guid.CreateVersion7() };
        _buyer.CreditLine.SetCreditLimit(500);

        Enter(Movement.Of("deposit", _buyer, new Leg(null, _buyer.Wallets[0], 100_00), ""), Id(1));
        Enter(Movement.Of("withdrawal", _buyer, new Leg(_buyer.CreditLine, null, 300), ""), Id(2));
        Enter(Movement.Of("withdrawal", _buyer, new Leg(_buyer.CreditLine, null, 201), ""), Id(3), code: "insufficient_funds", posted: false);
        Leg[] purchase = [new(_buyer.Wallets[0], _seller.Wallets[0], 9_70), new(_buyer.Wallets[0], _houses[0].Fees, 20), new(_buyer.Wallets[0], _houses[0].Tax, 10)];
        Enter(new Movement("journal", null, Euro, 10_00, purchase, ""), Id(4));
        Leg[] exchange = [new(_seller.Wallets[0], _houses[0].Exchange, 5_00), new(_houses[1].Exchange, _seller.Wallets[1], 800)];
        Enter(new Movement("exchange", _seller, Euro, 5_00, exchange, ""), Id(5));
        Enter(new Movement("journal", null, Euro, 1, [new(_buyer.Wallets[0], _seller.Wallets[0], 1)], ""), Id(6), code: "insufficient_funds", posted: false);

        Set(_buyer.Caller, "/balances", """{"balances":[{"currency":"EUR","posted":"87.00","held":"0.00","available":"92.00"},{"currency":"JPY","posted":"0","held":"0","available":"0"}]}""");
        Set(_buyer.Caller, "/accounts", Accounts(("main", "EUR", "90.00", "90.00", "0.00"), ("main", "JPY", "0", "0", "0"), ("credit", "EUR", "-3.00", "2.00", "5.00")));
        Set(_seller.Caller, "/balances", """{"balances":[{"currency":"EUR","posted":"4.70","held":"0.00","available":"4.70"},{"currency":"JPY","posted":"800","held":"0","available":"800"}]}""");
        Set(_seller.Caller, "/accounts", Accounts(("main", "EUR", "4.70", "4.70", "0.00"), ("main", "JPY", "800", "800", "0")));
        Set(_staff, "/admin/accounts", Accounts(("fees", "EUR", "0.20", "0.20", "0.00"), ("tax", "EUR", "0.10", "0.10", "0.00"), ("fees", "JPY", "0", "0", "0"), ("tax", "JPY", "0", "0", "0"), ("other", "EUR", "9.00", "9.00", "0.00")));
        Set(_staff, "/admin/exchange", """{"positions":[{"currency":"EUR","position":"6.00"},{"currency":"JPY","position":"-800"},{"currency":"USD","position":"3.00"}]}""");
        Set(_buyer.Caller, "/transactions?limit=1000&status=posted", Transactions(1, 2, 4));
        Set(_buyer.Caller, "/transactions?limit=1000&status=rejected", Transactions(3));
        Set(_seller.Caller, "/transactions?limit=1000&status=posted", Transactions(4, 5));
        Set(_seller.Caller, "/transactions?limit=1000&status=rejected", Transactions());
        Set(_staff, "/transactions?limit=1000&status=posted&metadata[load]=run", Transactions(4));
        Set(_staff, "/transactions?limit=1000&status=rejected&metadata[load]=run", Transactions(6));
    }

    [Fact]
    public async Task Equal_books_have_no_difference()
    {
        await CompareAsync();

        Assert.Empty(_tally.Listed);
    }

    [Theory]
    [InlineData("buyer", "/balances")]
    [InlineData("buyer", "/accounts")]
    [InlineData("seller", "/balances")]
    [InlineData("seller", "/accounts")]
    [InlineData("staff", "/admin/accounts")]
    [InlineData("staff", "/admin/exchange")]
    public async Task Each_figure_that_is_off_by_one_is_a_difference(string caller, string path)
    {
        var key = (CallerOf(caller), path);
        var right = _answers[key].ToJsonString();
        foreach (Match amount in Amount().Matches(right).Where(match => !right[..match.Index].Contains("other", StringComparison.Ordinal) && !right[..match.Index].Contains("USD", StringComparison.Ordinal)))
        {
            var last = amount.Index + amount.Length - 2;
            var wrong = right[..last] + (char)('0' + (right[last] - '0' + 1) % 10) + right[(last + 1)..];
            var before = _tally.Discrepancies;
            _answers[key] = JsonNode.Parse(wrong)!;

            await CompareAsync();

            Assert.True(_tally.Discrepancies == before + 1, $"{_tally.Discrepancies - before} differences were found in {wrong}");
        }
    }

    [Theory]
    [InlineData("buyer", "posted")]
    [InlineData("buyer", "rejected")]
    [InlineData("seller", "posted")]
    [InlineData("staff", "posted&metadata[load]=run")]
    [InlineData("staff", "rejected&metadata[load]=run")]
    public async Task Missing_and_additional_transactions_are_differences(string caller, string status)
    {
        var items = _answers[(CallerOf(caller), $"/transactions?limit=1000&status={status}")]["items"]!.AsArray();
        var added = items[0]!.DeepClone();
        added["id"] = Guid.CreateVersion7();
        items.Add(added);
        await CompareAsync();
        Assert.Equal(1, _tally.Discrepancies);

        items.RemoveAt(0);
        await CompareAsync();
        Assert.Equal(2, _tally.Discrepancies);

        items.RemoveAt(items.Count - 1);
        await CompareAsync();
        Assert.Equal(3, _tally.Discrepancies);
    }

    [Fact]
    public async Task Account_that_is_missing_or_not_open_is_a_difference()
    {
        var accounts = _answers[(_staff, "/admin/accounts")]["accounts"]!.AsArray();
        accounts[0]!["status"] = "frozen";
        await CompareAsync();
        Assert.Equal(1, _tally.Discrepancies);

        accounts.RemoveAt(0);
        await CompareAsync();
        Assert.Equal(2, _tally.Discrepancies);
    }

    [Fact]
    public async Task Accounts_of_a_command_without_an_outcome_are_not_compared()
    {
        _books.Doubt(new Movement("journal", null, Euro, 1, [new(_buyer.Wallets[0], _houses[0].Fees, 1)], ""));
        Set(_buyer.Caller, "/balances", "{}");
        Set(_staff, "/admin/accounts", Accounts(("tax", "EUR", "0.10", "0.10", "0.00"), ("fees", "JPY", "0", "0", "0"), ("tax", "JPY", "0", "0", "0")));

        await CompareAsync();

        Assert.Empty(_tally.Listed);
        Assert.Equal((true, false), (_buyer.IsInDoubt, _seller.IsInDoubt));
    }

    private async Task CompareAsync()
    {
        await _books.CompareAsync([_buyer, _seller]);
        await _books.CompareHouseAsync(_staff, _houses, new([new("EUR", "1.00"), new("USD", "4.00")]), KeyValuePair.Create("load", "run"));
    }

    private void Enter(Movement movement, Guid id, string? code = null, bool posted = true) => _books.Enter(
        new PlannedRequest(RequestKind.Deposit, HttpMethod.Post, "", null) { Status = HttpStatusCode.Created, Code = code, Movement = movement }, id, posted);

    private void Set(Caller caller, string path, string json) => _answers[(caller, path)] = JsonNode.Parse(json)!;

    private Caller CallerOf(string name) => name switch { "buyer" => _buyer.Caller, "seller" => _seller.Caller, _ => _staff };

    private static string Accounts(params (string Name, string Currency, string Posted, string Available, string CreditLimit)[] accounts) => JsonSerializer.Serialize(new
    {
        accounts = accounts.Select(account => new
        {
            id = Guid.CreateVersion7(),
            name = account.Name,
            currency = account.Currency,
            status = "open",
            posted = account.Posted,
            held = account.Currency == "JPY" ? "0" : "0.00",
            available = account.Available,
            creditLimit = account.CreditLimit,
        }),
    });

    private static string Transactions(params int[] numbers) => JsonSerializer.Serialize(new
    {
        items = numbers.Select(number => new { id = Id(number), kind = "", status = "", currency = "", amount = "", entries = Array.Empty<int>() }),
    });

    private static LoadUser NewUser(string name) => new(Guid.CreateVersion7(), new Credentials($"{name}@example.com", ""), [Euro, Yen]);

    private static House NewHouse(Currency currency) => new(new Wallet(currency, null, null), new Wallet(currency, null, "fees"), new Wallet(currency, null, "tax"));

    private static Guid Id(int number) => new(number, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0]);

    [GeneratedRegex("(posted|held|available|creditLimit|position)\":\"-?[0-9.]+\"")]
    private static partial Regex Amount();
}
