using Ledger.Core.Currencies;
using Ledger.Core.Identity;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Posting;

/// <summary>Journals and named accounts in the engine.</summary>
public sealed class JournalTests(LedgerSystem system)
{
    [Fact]
    public async Task A_journal_splits_a_payment_in_one_transaction()
    {
        var (market, sender) = await MarketAsync(users: 2);
        var (buyer, seller) = (market.Users[0], market.Users[1]);
        var (fees, tax) = (await market.NewHouseAccountAsync("fees"), await market.NewHouseAccountAsync("tax"));
        await PostAsync(market, market.Deposit(buyer, 100));

        var decision = Assert.Single(await PostAsync(market, market.Journal(
            sender, market.Posting(User(buyer), User(seller), 97), market.Posting(User(buyer), House(fees), 2), market.Posting(User(buyer), House(tax), 1))));

        Assert.Equal(TransactionStatus.Posted, decision.Outcome!.Status);
        Assert.Equal([-97L, 97, -2, 2, -1, 1], decision.Outcome.Entries.Select(entry => entry.Amount.MinorUnits));
        Assert.Equal(new Money(100, market.Currency), decision.Outcome.Amount);
        Assert.Equal((0, 97, 2, 1), (
            await market.BalanceAsync(buyer), await market.BalanceAsync(seller), await market.HouseBalanceAsync(fees), await market.HouseBalanceAsync(tax)));
        // As it is stored, to the last entry.
        var known = Assert.Single(await PostAsync(market, decision.Command));
        Assert.Equal(DecisionKind.Known, known.Kind);
        Assert.Equal(decision.Outcome with { Entries = [] }, known.Outcome! with { Entries = [], Sequence = null });
        Assert.Equal(decision.Outcome.Entries, known.Outcome!.Entries);
    }

    [Fact]
    public async Task Postings_are_judged_in_order_and_a_rejection_names_the_posting_and_changes_nothing()
    {
        var (market, sender) = await MarketAsync(users: 2);
        var (alice, bob) = (market.Users[0], market.Users[1]);
        var fees = await market.NewHouseAccountAsync();
        await PostAsync(market, market.Deposit(alice, 100));

        // What a posting brings, the next one spends.
        var chain = market.Journal(sender, market.Posting(User(alice), User(bob), 100), market.Posting(User(bob), House(fees), 40));
        var tooMuch = market.Journal(sender, market.Posting(House(fees), User(alice), 10), market.Posting(User(alice), User(bob), 10), market.Posting(House(fees), User(bob), 31));
        var decisions = await PostAsync(market, chain, tooMuch);

        Assert.Equal(TransactionStatus.Posted, decisions[0].Outcome!.Status);
        Assert.Equal(new Rejection(RejectionCodes.InsufficientFunds, 30, 2, new Money(31, market.Currency)), decisions[1].Outcome!.Rejection);
        Assert.Equal((0, 60, 40), (await market.BalanceAsync(alice), await market.BalanceAsync(bob), await market.HouseBalanceAsync(fees)));
        Assert.Equal(decisions[1].Outcome, Assert.Single(await PostAsync(market, tooMuch)).Outcome! with { Entries = decisions[1].Outcome!.Entries, Sequence = null });
    }

    [Fact]
    public async Task A_journal_moves_several_currencies_to_the_world_and_from_it()
    {
        var (market, sender) = await MarketAsync(users: 1);
        var other = await Market.OpenAsync(market.Database, users: 0);
        var user = market.Users[0];

        var decision = Assert.Single(await PostAsync(market, market.Journal(
            sender, market.Posting(new PostingEnd(), User(user), 500), other.Posting(new PostingEnd(), User(user), 70), market.Posting(User(user), new PostingEnd(), 100))));

        Assert.Equal(new Money(600, market.Currency), decision.Outcome!.Amount);
        Assert.Equal((400, -400, 70, -70), (
            await market.BalanceAsync(user), await market.SettlementAsync(), await other.BalanceAsync(user), await other.SettlementAsync()));
    }

    [Fact]
    public async Task A_journal_with_an_end_that_is_not_there_is_rejected()
    {
        var (market, sender) = await MarketAsync(users: 2);
        var other = await Market.OpenAsync(market.Database, users: 0);
        var user = market.Users[0];
        var savings = await market.NewAccountAsync(user, "savings");
        var shard = Guid.Parse((await Books.TextsAsync(market.Database, "select id::text from ledger.accounts where kind = 'settlement' and currency = $1 limit 1", market.Currency))[0]);
        await PostAsync(market, market.Deposit(user, 100));

        Task<string?> CodeOfAsync(JournalPosting posting) => RejectionOfAsync(market, market.Journal(sender, market.Posting(new PostingEnd(), User(user), 1), posting));

        Assert.Equal("recipient_unknown 1", await CodeOfAsync(market.Posting(User(user), User(Guid.CreateVersion7()), 1)));
        Assert.Equal("account_unknown 1", await CodeOfAsync(market.Posting(User(user), House("none"), 1)));
        Assert.Equal("account_unknown 1", await CodeOfAsync(market.Posting(User(user), Account(Guid.CreateVersion7()), 1)));
        Assert.Equal("account_unknown 1", await CodeOfAsync(market.Posting(User(user), Account(shard), 1)));
        Assert.Equal("account_unknown 1", await CodeOfAsync(other.Posting(new PostingEnd(), Account(savings), 1)));
        Assert.Equal("same_account 1", await CodeOfAsync(market.Posting(Account(savings), Account(savings), 1)));
        Assert.Equal("same_account 1", await CodeOfAsync(market.Posting(new PostingEnd(), new PostingEnd(), 1)));
        Assert.Equal("currency_unknown 1", await CodeOfAsync(new JournalPosting(new PostingEnd(), User(user), new Money(1, "NOSUCH"))));
        Assert.Equal((100, 0), (await market.BalanceAsync(user), await market.AccountBalanceAsync(savings)));
    }

    [Fact]
    public async Task Caller_without_the_right_posts_no_journal_exchange_reversal_or_command_at_another_time()
    {
        var (market, _) = await MarketAsync(users: 2);
        var (alice, bob) = (market.Users[0], market.Users[1]);
        var deposit = market.Deposit(alice, 100);
        await PostAsync(market, deposit);

        var closed = await market.NewServiceAsync(Scopes.Transactions);
        await Books.ExecuteAsync(market.Database, "update identity.services set closed_at = clock_timestamp() where id = $1", closed);
        foreach (var caller in new[] { alice, bob, Guid.CreateVersion7(), closed, await market.NewServiceAsync(Scopes.Read, Scopes.Users, Scopes.Webhooks) })
        {
            Command[] commands =
            [
                market.Journal(caller, market.Posting(User(alice), User(bob), 1)), market.Exchange(caller, alice, 1, new Money(1, "USD")), market.Reversal(caller, deposit),
                market.Withdrawal(alice, 1) with { PrincipalId = caller, Terms = new CommandTerms { EffectiveAt = new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc) } },
            ];
            Assert.All(await PostAsync(market, commands), decision => Assert.Equal(RejectionCodes.Forbidden, decision.Outcome!.Rejection?.Code));
        }
        Assert.Equal((100, 0), (await market.BalanceAsync(alice), await market.BalanceAsync(bob)));
    }

    [Fact]
    public async Task Service_account_with_scope_transactions_posts_journals_exchanges_reversals_and_commands_at_another_time()
    {
        var (market, _) = await MarketAsync(users: 2);
        var other = await Market.OpenAsync(market.Database, users: 0);
        var (alice, bob, service) = (market.Users[0], market.Users[1], await market.NewServiceAsync(Scopes.Transactions));
        var deposit = market.Deposit(bob, 10);
        await PostAsync(market, market.Deposit(alice, 100), deposit);

        var decisions = await PostAsync(
            market, market.Journal(service, market.Posting(User(alice), User(bob), 1)), market.Exchange(service, alice, 2, new Money(7, other.Currency)), market.Reversal(service, deposit),
            market.Withdrawal(alice, 4) with { PrincipalId = service, Terms = new CommandTerms { EffectiveAt = new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc) } });

        Assert.All(decisions, decision => Assert.Equal(TransactionStatus.Posted, decision.Outcome!.Status));
        Assert.Equal((93, 1), (await market.BalanceAsync(alice), await market.BalanceAsync(bob)));
    }

    [Fact]
    public async Task Money_moves_between_a_users_accounts_and_to_accounts_by_their_ids()
    {
        var (market, sender) = await MarketAsync(users: 2);
        var (alice, bob) = (market.Users[0], market.Users[1]);
        var (savings, pocket) = (await market.NewAccountAsync(alice, "savings"), await market.NewAccountAsync(bob, "pocket"));
        await market.NewHouseAccountAsync("fees");
        var fees = Guid.Parse((await Books.TextsAsync(market.Database, "select id::text from ledger.accounts where kind = 'house' and currency = $1", market.Currency))[0]);
        await PostAsync(market, market.Deposit(alice, 100));

        var decisions = await PostAsync(
            market, market.Transfer(alice, savings, 60), From(savings, market.Transfer(alice, bob, 10)), From(savings, market.Transfer(alice, pocket, 20)),
            From(savings, market.Transfer(alice, fees, 5)), From(savings, market.Withdrawal(alice, 15)), From(savings, market.Withdrawal(alice, 11)));

        Assert.Equal([null, null, null, null, null, RejectionCodes.InsufficientFunds], decisions.Select(decision => decision.Outcome!.Rejection?.Code));
        Assert.Equal([alice, bob, bob, null, null], decisions.Take(5).Select(decision => decision.Outcome!.RecipientId));
        Assert.Equal((10, 20, 5), (await market.AccountBalanceAsync(savings), await market.AccountBalanceAsync(pocket), await market.AccountBalanceAsync(fees)));
        Assert.Equal((50, 30), (await market.BalanceAsync(alice), await market.BalanceAsync(bob)));

        // Another user's account is none of the owner's.
        Assert.Equal("account_unknown", await RejectionOfAsync(market, From(pocket, market.Withdrawal(alice, 1))));
        Assert.Equal("recipient_unknown", await RejectionOfAsync(market, market.Transfer(alice, Guid.CreateVersion7(), 1)));
        Assert.Equal("same_account", await RejectionOfAsync(market, From(savings, market.Transfer(alice, savings, 1))));
        Assert.Equal(TransactionStatus.Posted, Assert.Single(await PostAsync(market, market.Journal(sender, market.Posting(Account(fees), Account(pocket), 5)))).Outcome!.Status);
        await Books.MustBalanceAsync(market.Database);
    }

    [Fact]
    public async Task A_house_account_goes_below_zero_by_its_credit_limit_alone()
    {
        var (market, sender) = await MarketAsync(users: 1);
        var escrow = await market.NewHouseAccountAsync("escrow", creditLimit: 50);

        var decisions = await PostAsync(
            market, market.Journal(sender, market.Posting(House(escrow), User(market.Users[0]), 51)), market.Journal(sender, market.Posting(House(escrow), User(market.Users[0]), 50)));

        Assert.Equal(new Rejection(RejectionCodes.InsufficientFunds, 50, 0, new Money(51, market.Currency)), decisions[0].Outcome!.Rejection);
        Assert.Equal(-50, await market.HouseBalanceAsync(escrow));
    }

    [Fact]
    public async Task A_closed_account_takes_no_money_and_is_never_opened_again()
    {
        var (market, _) = await MarketAsync(users: 1);
        var account = await market.NewAccountAsync(market.Users[0], "old");
        await PostAsync(market, market.Deposit(market.Users[0], 100));
        await Books.ExecuteAsync(market.Database, "update ledger.accounts set status = 'closed' where id = $1", account);

        Assert.Equal("account_closed", await RejectionOfAsync(market, market.Transfer(market.Users[0], account, 1)));
        Assert.Equal(Npgsql.PostgresErrorCodes.RestrictViolation, (await Assert.ThrowsAsync<Npgsql.PostgresException>(
            () => Books.ExecuteAsync(market.Database, "update ledger.accounts set status = 'open' where id = $1", account))).SqlState);
    }

    [Fact]
    public async Task A_journal_of_64_postings_is_posted_and_one_of_65_is_no_plan()
    {
        var (market, sender) = await MarketAsync(users: 1);
        var postings = Enumerable.Range(1, Plan.MaxMovements).Select(i => market.Posting(new PostingEnd(), User(market.Users[0]), i)).ToArray();

        var decision = Assert.Single(await PostAsync(market, market.Journal(sender, postings)));

        Assert.Equal(2 * Plan.MaxMovements, decision.Outcome!.Entries.Count);
        Assert.Equal(64 * 65 / 2, await market.BalanceAsync(market.Users[0]));
        await Assert.ThrowsAsync<ArgumentException>(() => PostAsync(market, market.Journal(sender, [.. postings, postings[0]])));
    }

    [Fact]
    public async Task Engines_with_journals_over_the_same_accounts_in_any_order_do_not_block_each_other()
    {
        var (market, sender) = await MarketAsync(users: 4);
        var fees = await market.NewHouseAccountAsync("fees", creditLimit: 1000);
        await PostAsync(market, [.. market.Users.Select(user => market.Deposit(user, 10_000))]);

        await Task.WhenAll(Enumerable.Range(0, 4).Select(engine => Task.Run(async () =>
        {
            var random = new Random(engine);
            for (var i = 0; i < 25; i++)
            {
                var users = market.Users.ToArray();
                random.Shuffle(users);
                await PostAsync(market, market.Journal(
                    sender, market.Posting(User(users[0]), User(users[1]), 5), market.Posting(User(users[1]), House(fees), 2), market.Posting(House(fees), User(users[2]), 1),
                    market.Posting(User(users[2]), User(users[3]), 1)));
            }
        })));

        Assert.Equal(100, await market.HouseBalanceAsync(fees));
        Assert.Equal(40_000 - 100, (await Task.WhenAll(market.Users.Select(market.BalanceAsync))).Sum());
        await Books.MustBalanceAsync(market.Database);
    }

    private static PostingEnd User(Guid id) => new(UserId: id);

    private static PostingEnd Account(Guid id) => new(AccountId: id);

    private static PostingEnd House(string name) => new(House: name);

    private static Command From(Guid account, Command command) => command with { Terms = new CommandTerms { AccountId = account } };

    // Such as "account_unknown 1"; the index only where there is one.
    private static async Task<string?> RejectionOfAsync(Market market, Command command)
    {
        var rejection = Assert.Single(await PostAsync(market, command)).Outcome!.Rejection;
        return rejection is { Index: { } index } ? $"{rejection.Value.Code} {index}" : rejection?.Code;
    }

    private async Task<(Market Market, Guid Operator)> MarketAsync(int users)
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users);
        return (market, await market.NewOperatorAsync());
    }

    private static async Task<IReadOnlyList<Decision>> PostAsync(Market market, params Command[] commands)
    {
        await using var connection = await market.Database.OpenConnectionAsync();
        return await new PostingEngine().PostAsync(connection, commands, CancellationToken.None);
    }
}
