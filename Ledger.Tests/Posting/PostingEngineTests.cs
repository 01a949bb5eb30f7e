using FsCheck;
using FsCheck.Fluent;
using Ledger.Core.Currencies;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Posting;

/// <summary>The engine over a connection to PostgreSQL, without a queue and without HTTP.</summary>
public sealed class PostingEngineTests(LedgerSystem system)
{
    [Fact]
    public async Task A_transfer_has_two_entries_that_sum_to_zero_and_the_balances_after_them()
    {
        var market = await MarketAsync(users: 2);
        var (alice, bob) = (market.Users[0], market.Users[1]);
        await PostAsync(market, market.Deposit(alice, 1000));

        var decision = Assert.Single(await PostAsync(market, market.Transfer(alice, bob, 300)));

        Assert.Equal((DecisionKind.Decided, TransactionStatus.Posted), (decision.Kind, decision.Outcome!.Status));
        Assert.Equal([(alice, -300L, 700L), (bob, 300L, 300L)], decision.Outcome.Entries.Select(entry => (entry.OwnerId!.Value, entry.Amount.MinorUnits, entry.BalanceAfter!.Value)));
        Assert.Equal((700, 300, -1000), (await market.BalanceAsync(alice), await market.BalanceAsync(bob), await market.SettlementAsync()));
    }

    [Fact]
    public async Task Command_delivered_twice_in_one_batch_and_again_later_is_posted_once()
    {
        var market = await MarketAsync(users: 1);
        var deposit = market.Deposit(market.Users[0], 500);

        var first = await PostAsync(market, deposit, deposit);
        var later = Assert.Single(await PostAsync(market, deposit));

        Assert.Equal([DecisionKind.Decided, DecisionKind.Known], first.Select(decision => decision.Kind));
        Assert.Equal(DecisionKind.Known, later.Kind);
        // As it was decided, to the last entry: its events may not have gone out.
        Assert.Equal(first[0].Outcome! with { Entries = [] }, later.Outcome! with { Entries = [] });
        Assert.Equal(first[0].Outcome!.Entries, later.Outcome!.Entries);
        Assert.Equal(500, await market.BalanceAsync(market.Users[0]));
    }

    [Fact]
    public async Task Idempotency_key_in_one_batch_stands_for_its_first_command()
    {
        var market = await MarketAsync(users: 2);
        var (alice, bob) = (market.Users[0], market.Users[1]);
        var first = market.Deposit(alice, 500, key: "k", body: 1);

        var decisions = await PostAsync(
            market, first, market.Deposit(alice, 500, key: "k", body: 1), market.Deposit(alice, 700, key: "k", body: 2), market.Deposit(bob, 900, key: "k", body: 3));

        Assert.Equal([DecisionKind.Decided, DecisionKind.Replayed, DecisionKind.KeyReused, DecisionKind.Decided], decisions.Select(decision => decision.Kind));
        Assert.Equal([first.Id, first.Id, first.Id], decisions.Take(3).Select(decision => decision.TransactionId));
        Assert.Equal((500, 900), (await market.BalanceAsync(alice), await market.BalanceAsync(bob)));
    }

    [Fact]
    public async Task Rejection_is_stored_and_final_although_money_arrives_later()
    {
        var market = await MarketAsync(users: 1);
        var user = market.Users[0];
        var withdrawal = market.Withdrawal(user, 100, key: "w");

        var rejected = Assert.Single(await PostAsync(market, withdrawal)).Outcome!;
        await PostAsync(market, market.Deposit(user, 1000));
        var replayed = Assert.Single(await PostAsync(market, market.Withdrawal(user, 100, key: "w")));

        Assert.Equal((TransactionStatus.Rejected, new Rejection(RejectionCodes.InsufficientFunds, 0)), (rejected.Status, rejected.Rejection));
        Assert.Equal((DecisionKind.Replayed, withdrawal.Id, TransactionStatus.Rejected), (replayed.Kind, replayed.TransactionId, replayed.Outcome!.Status));
        Assert.Equal(1000, await market.BalanceAsync(user));
    }

    [Fact]
    public async Task A_rejected_command_opens_no_account()
    {
        var market = await MarketAsync(users: 2);

        await PostAsync(market, market.Transfer(market.Users[0], market.Users[1], 100));

        Assert.Equal(0, await Books.NumberAsync(market.Database, "select count(*) from ledger.accounts where owner_id = any ($1)", market.Users.ToArray()));
    }

    [Fact]
    public async Task No_money_moves_on_a_frozen_account()
    {
        var market = await MarketAsync(users: 2);
        var (frozen, other) = (market.Users[0], market.Users[1]);
        await PostAsync(market, market.Deposit(frozen, 1000), market.Deposit(other, 1000));
        await Books.ExecuteAsync(market.Database, "update ledger.accounts set status = 'frozen' where owner_id = $1", frozen);

        var decisions = await PostAsync(market,
            market.Deposit(frozen, 1), market.Withdrawal(frozen, 1), market.Transfer(frozen, other, 1), market.Transfer(other, frozen, 1), market.Withdrawal(other, 1));

        Assert.Equal([.. Enumerable.Repeat<string?>(RejectionCodes.AccountFrozen, 4), null], decisions.Select(decision => decision.Outcome!.Rejection?.Code));
        Assert.Equal((1000, 999), (await market.BalanceAsync(frozen), await market.BalanceAsync(other)));
    }

    [Fact]
    public async Task Held_money_is_not_available()
    {
        var market = await MarketAsync(users: 1);
        var user = market.Users[0];
        await PostAsync(market, market.Deposit(user, 1000));
        await Holding.OpenAsync(market, user, 600);

        var decisions = await PostAsync(market, market.Withdrawal(user, 401), market.Withdrawal(user, 400));

        Assert.Equal(new Rejection(RejectionCodes.InsufficientFunds, 400), decisions[0].Outcome!.Rejection);
        Assert.Equal(TransactionStatus.Posted, decisions[1].Outcome!.Status);
    }

    [Fact]
    public async Task Balance_does_not_overflow_in_any_sequence_of_batches()
    {
        var market = await MarketAsync(users: 1);
        var user = market.Users[0];
        var affordable = Judge.BalanceLimit / Currency.MaxAmount;

        var together = await PostAsync(market, [.. Enumerable.Range(0, (int)affordable - 1).Select(_ => market.Deposit(user, Currency.MaxAmount))]);
        var alone = new List<Decision>();
        for (var i = 0; i < 3; i++)
            alone.AddRange(await PostAsync(market, market.Deposit(user, Currency.MaxAmount)));

        Assert.All(together, decision => Assert.Equal(TransactionStatus.Posted, decision.Outcome!.Status));
        Assert.Equal([null, RejectionCodes.BalanceOverflow, RejectionCodes.BalanceOverflow], alone.Select(decision => decision.Outcome!.Rejection?.Code));
        Assert.Equal(affordable * Currency.MaxAmount, await market.BalanceAsync(user));
    }

    [Fact]
    public async Task A_settlement_shard_that_is_full_lets_others_take_its_movements_until_none_has_room()
    {
        // 16 shards, four of the greatest amounts each: more users than that, so that no user's balance is the bound.
        const int Room = 4 * PostingEngine.SettlementShards;
        var market = await MarketAsync(users: 20);
        var engine = new PostingEngine();
        var codes = new List<string?>();
        await using (var connection = await market.Database.OpenConnectionAsync())
        {
            // A batch fills one shard and needs others; single commands then meet full shards by turns.
            var deposits = Enumerable.Range(0, Room + 2).Select(i => market.Deposit(market.Users[i % 20], Currency.MaxAmount)).ToArray();
            foreach (var batch in new[] { deposits[..6], deposits[6..12] }.Concat(deposits[12..].Chunk(1)))
                codes.AddRange((await engine.PostAsync(connection, batch, CancellationToken.None)).Select(decision => decision.Outcome!.Rejection?.Code));

            Assert.Equal([.. Enumerable.Repeat<string?>(null, Room), RejectionCodes.BalanceOverflow, RejectionCodes.BalanceOverflow], codes);
            // Withdrawals make room again.
            Assert.Null((await engine.PostAsync(connection, [market.Withdrawal(market.Users[0], Currency.MaxAmount)], CancellationToken.None))[0].Outcome!.Rejection);
            Assert.Null((await engine.PostAsync(connection, [market.Deposit(market.Users[0], Currency.MaxAmount)], CancellationToken.None))[0].Outcome!.Rejection);
        }
        Assert.Equal(4 * Currency.MaxAmount, await Books.NumberAsync(
            market.Database, "select max(-posted)::bigint from ledger.accounts where currency = $1 and kind = 'settlement'", market.Currency));
        Assert.Equal([(double)(4 * Currency.MaxAmount) / Judge.BalanceLimit], (await ShardFill.OfAllAsync(market.Database, CancellationToken.None))
            .Where(fill => fill.Currency == market.Currency).Select(fill => fill.Ratio));
    }

    [Fact]
    public async Task No_money_moves_in_a_disabled_or_unknown_currency()
    {
        var market = await MarketAsync(users: 1);
        await PostAsync(market, market.Deposit(market.Users[0], 100));
        await Books.ExecuteAsync(market.Database, "update ledger.currencies set enabled = false where code = $1", market.Currency);

        var decisions = await PostAsync(market, market.Withdrawal(market.Users[0], 1), market.Deposit(market.Users[0], 1) with { Amount = new Money(1, "NOSUCH") });

        Assert.Equal([RejectionCodes.CurrencyDisabled, RejectionCodes.CurrencyUnknown], decisions.Select(decision => decision.Outcome!.Rejection?.Code));
        Assert.Equal(100, await market.BalanceAsync(market.Users[0]));
    }

    [Fact]
    public async Task Transfer_without_a_known_recipient_is_rejected()
    {
        var market = await MarketAsync(users: 1);
        await PostAsync(market, market.Deposit(market.Users[0], 100));

        var decisions = await PostAsync(market, market.Transfer(market.Users[0], null, 1), market.Transfer(market.Users[0], Guid.CreateVersion7(), 1));

        Assert.All(decisions, decision => Assert.Equal(RejectionCodes.RecipientUnknown, decision.Outcome!.Rejection?.Code));
    }

    /// <summary>Otherwise a sender without money could find out who is registered.</summary>
    [Fact]
    public async Task Funds_are_judged_before_the_recipient()
    {
        var market = await MarketAsync(users: 3);
        var (poor, frozen, known) = (market.Users[0], market.Users[1], market.Users[2]);
        await PostAsync(market, market.Deposit(poor, 99));
        await Books.ExecuteAsync(market.Database, "select identity.set_frozen($1, true)", frozen);

        Guid?[] recipients = [null, Guid.CreateVersion7(), frozen, known];
        var above = await PostAsync(market, [.. recipients.Select(recipient => market.Transfer(poor, recipient, 100))]);
        var within = await PostAsync(market, [.. recipients.Select(recipient => market.Transfer(poor, recipient, 99))]);

        Assert.All(above, decision => Assert.Equal(new Rejection(RejectionCodes.InsufficientFunds, 99), decision.Outcome!.Rejection));
        Assert.Equal(
            [RejectionCodes.RecipientUnknown, RejectionCodes.RecipientUnknown, RejectionCodes.AccountFrozen, null],
            within.Select(decision => decision.Outcome!.Rejection?.Code));
        Assert.Equal((0, 99), (await market.BalanceAsync(poor), await market.BalanceAsync(known)));
    }

    [Fact]
    public async Task Transfer_to_the_sender_is_rejected()
    {
        var market = await MarketAsync(users: 1);
        var user = market.Users[0];
        await PostAsync(market, market.Deposit(user, 100));

        Assert.Equal(RejectionCodes.SameAccount, Assert.Single(await PostAsync(market, market.Transfer(user, user, 1))).Outcome!.Rejection?.Code);

        Assert.Equal(100, await market.BalanceAsync(user));
        Assert.Equal(1, await market.CountAsync("posted"));
    }

    [Fact]
    public async Task Batch_that_cannot_be_written_leaves_no_trace()
    {
        var market = await MarketAsync(users: 1);
        var user = market.Users[0];

        // PostgreSQL stores no NUL in a text.
        var failure = await Assert.ThrowsAsync<PostgresException>(
            () => PostAsync(market, market.Deposit(user, 100, key: "k"), market.Deposit(user, 100) with { Reference = "a\0b" }));

        Assert.Equal(PostgresErrorCodes.CharacterNotInRepertoire, failure.SqlState);
        Assert.Equal(0, await Books.RowsOfAsync(market.Database, user));
        Assert.Equal(0, await market.SettlementAsync());
    }

    [Fact]
    public async Task Pending_command_is_deleted_by_the_commit_that_decides_it()
    {
        var market = await MarketAsync(users: 1);
        var command = market.Deposit(market.Users[0], 100, key: "p");
        // As published, so that no worker's relay is faster than this test.
        Assert.Null(await PendingCommands.RecordAsync(market.Database, command, TimeSpan.FromHours(1), CancellationToken.None));
        // Whoever comes with the same key is told which command it stands for.
        var rival = market.Deposit(market.Users[0], 100, key: "p");
        Assert.Equal(new KeyConflict(command.Id, SameRequest: true), await PendingCommands.RecordAsync(market.Database, rival, TimeSpan.FromHours(1), CancellationToken.None));

        var decisions = await PostAsync(market, rival, command);

        Assert.Equal([(DecisionKind.Replayed, null), (DecisionKind.Decided, TransactionStatus.Posted)], decisions.Select(decision => (decision.Kind, decision.Outcome?.Status)));
        Assert.Equal(0, await Books.NumberAsync(market.Database, "select count(*) from ledger.pending_commands where owner_id = $1", market.Users[0]));
        Assert.Equal(100, await market.BalanceAsync(market.Users[0]));
    }

    [Fact]
    public async Task Any_sequence_of_batches_gives_the_decisions_of_the_naive_ledger()
    {
        var database = await system.DatabaseAsync();
        Law.HoldsForSequences(Orders, orders => CompareAsync(database, orders).GetAwaiter().GetResult(), cases: 60);
        await Books.MustBalanceAsync(database);
    }

    [Fact]
    public async Task Several_engines_on_the_same_accounts_never_overspend()
    {
        const int Engines = 6;
        var market = await MarketAsync(users: 3);
        await PostAsync(market, [.. market.Users.Select(user => market.Deposit(user, 1000))]);
        var random = new Random(7);

        // Crosswise, in batches, each more than there is: whoever comes too late is rejected.
        var work = Enumerable.Range(0, Engines).Select(_ => Enumerable.Range(0, 20).Select(_ => Enumerable.Range(0, random.Next(1, 30)).Select(_ =>
        {
            var (from, to) = (random.Next(3), random.Next(1, 3));
            return random.Next(3) == 0
                ? market.Withdrawal(market.Users[from], random.Next(1, 20))
                : market.Transfer(market.Users[from], market.Users[(from + to) % 3], random.Next(1, 400));
        }).ToArray()).ToArray()).ToArray();
        var decisions = await Task.WhenAll(work.Select(batches => Task.Run(() => PostManyAsync(market, batches))));

        var posted = decisions.SelectMany(all => all).Where(decision => decision.Outcome!.Status == TransactionStatus.Posted).ToList();
        var withdrawn = posted.Where(decision => decision.Command.Kind == TransactionKind.Withdrawal).Sum(decision => decision.Command.Amount.MinorUnits);
        var left = await Task.WhenAll(market.Users.Select(market.BalanceAsync));
        Assert.Equal(3000 - withdrawn, left.Sum());
        Assert.Equal(-left.Sum(), await market.SettlementAsync());
        Assert.All(left, balance => Assert.True(balance >= 0));
        foreach (var (user, balance) in market.Users.Zip(left))
        {
            var expected = 1000 + posted.Sum(decision => decision.Command.RecipientId == user ? decision.Command.Amount.MinorUnits : decision.Command.OwnerId == user ? -decision.Command.Amount.MinorUnits : 0);
            Assert.Equal(expected, balance);
        }
        Assert.Equal(work.Sum(batches => batches.Sum(batch => batch.Length)), decisions.Sum(all => all.Count));
        await Books.MustBalanceAsync(market.Database);
    }

    /// <summary>Users' accounts are locked before they are read; a settlement account is not, and is added to by whoever comes.</summary>
    [Fact]
    public async Task Several_engines_that_share_only_settlement_accounts_lose_nothing()
    {
        const int Engines = 8, Batches = 60;
        var market = await MarketAsync(users: Engines);

        await Task.WhenAll(market.Users.Select(user => Task.Run(() =>
            PostManyAsync(market, [.. Enumerable.Range(0, Batches).Select(_ => new[] { market.Deposit(user, 7) })]))));

        Assert.Equal(-7 * Engines * Batches, await market.SettlementAsync());
        await Books.MustBalanceAsync(market.Database);
    }

    [Fact]
    public async Task Several_engines_with_the_same_commands_post_each_once()
    {
        const int Engines = 5;
        var market = await MarketAsync(users: 4);
        // Accounts and keys that do not exist yet: every engine tries to be the first.
        var commands = Enumerable.Range(0, 200).Select(i => market.Deposit(market.Users[i % 4], 10, key: $"k{i % 50}", body: (byte)(i % 50))).ToArray();

        var decisions = await Task.WhenAll(Enumerable.Range(0, Engines).Select(engine => Task.Run(() =>
        {
            var shuffled = (Command[])commands.Clone();
            new Random(engine).Shuffle(shuffled);
            return PostManyAsync(market, [.. shuffled.Chunk(20)]);
        })));

        // 50 keys of 4 users; i % 4 and i % 50 meet in lcm(4, 50) = 100 pairs.
        Assert.Equal(100, await market.CountAsync("posted"));
        Assert.Equal(100 * 10, -await market.SettlementAsync());
        foreach (var answers in decisions.SelectMany(all => all).GroupBy(decision => (decision.Command.OwnerId, decision.Command.IdempotencyKey)))
            Assert.Single(answers.Select(answer => answer.TransactionId).Distinct());
        await Books.MustBalanceAsync(market.Database);
    }

    [Fact]
    public async Task Entries_of_an_account_are_in_the_order_of_posting()
    {
        var market = await MarketAsync(users: 1);
        var user = market.Users[0];
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => PostManyAsync(market, [.. Enumerable.Range(0, 25).Select(i => new[] { market.Deposit(user, i + 1) })]))));

        // Sorted by time: then no balance may be one that another entry has yet to lead to.
        var balances = await Books.TextsAsync(market.Database, """
            select e.balance_after::text from ledger.entries e join ledger.accounts a on a.id = e.account_id
            where a.owner_id = $1 order by e.posted_at, e.id
            """, user);
        Assert.Equal(100, balances.Count);
        Assert.Equal(balances.Select(long.Parse).Order(), balances.Select(long.Parse));
    }

    [Fact]
    public async Task Transaction_is_later_than_the_last_entries_of_its_accounts_although_the_clock_went_back()
    {
        // Of its own: what is in the future would break a rule of the shared one.
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, users: 3);
        var (alice, bob, carol) = (market.Users[0], market.Users[1], market.Users[2]);
        await PostAsync(market, market.Deposit(alice, 1000), market.Deposit(carol, 1000));
        // As if the clock had been ahead then. A trigger refuses it to the owner, too.
        await Books.ExecuteAsync(database, $"""
            set session_replication_role = replica;
            update ledger.accounts set last_posted_at = '2999-01-01T00:00:00Z' where owner_id = '{alice}';
            reset session_replication_role
            """);

        var decisions = await PostAsync(
            market, market.Transfer(alice, bob, 300), market.Withdrawal(carol, 1), market.Withdrawal(bob, 100), market.Withdrawal(alice, 701), market.Deposit(alice, 1));

        var times = decisions.Select(decision => decision.Outcome!.DecidedAt!.Value).ToArray();
        var ahead = new DateTime(2999, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        Assert.Equal([ahead.AddMicroseconds(1), ahead.AddMicroseconds(2), ahead.AddMicroseconds(2), ahead.AddMicroseconds(2)], [times[0], times[2], times[3], times[4]]);
        // Who has nothing to do with that account is not dragged along.
        Assert.InRange(times[1], DateTime.UtcNow.AddMinutes(-1), DateTime.UtcNow.AddMinutes(1));
    }

    [Fact]
    public async Task Transactions_of_one_account_in_one_batch_have_times_in_their_order()
    {
        var market = await MarketAsync(users: 2);
        var (alice, bob) = (market.Users[0], market.Users[1]);

        var decisions = await PostAsync(market, market.Deposit(alice, 1000), market.Transfer(alice, bob, 1), market.Deposit(bob, 1), market.Transfer(alice, bob, 2));

        var times = decisions.Select(decision => decision.Outcome!.DecidedAt!.Value).ToArray();
        Assert.True(times[0] < times[1] && times[1] < times[2] && times[2] < times[3], string.Join(", ", times.Select(time => time.ToString("O"))));
    }

    private async Task<Market> MarketAsync(int users) => await Market.OpenAsync(await system.DatabaseAsync(), users);

    private static async Task<IReadOnlyList<Decision>> PostAsync(Market market, params Command[] commands)
    {
        await using var connection = await market.Database.OpenConnectionAsync();
        return await new PostingEngine().PostAsync(connection, commands, CancellationToken.None);
    }

    // As the worker does: where another engine was faster, look again.
    private static async Task<IReadOnlyList<Decision>> PostManyAsync(Market market, IReadOnlyList<Command[]> batches)
    {
        await using var connection = await market.Database.OpenConnectionAsync();
        var engine = new PostingEngine();
        var decisions = new List<Decision>();
        foreach (var batch in batches)
        {
            for (var attempt = 1; ; attempt++)
            {
                try
                {
                    decisions.AddRange(await engine.PostAsync(connection, batch, CancellationToken.None));
                    break;
                }
                catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UniqueViolation && attempt < 50)
                {
                }
            }
        }
        return decisions;
    }

    private static async Task CompareAsync(NpgsqlDataSource database, Order[] orders)
    {
        const int Users = 3;
        var market = await Market.OpenAsync(database, Users);
        var naive = new NaiveLedger(market);
        var sent = new List<Command>();
        var batch = new List<Command>();
        await using var connection = await database.OpenConnectionAsync();
        var engine = new PostingEngine();

        foreach (var order in orders)
        {
            var owner = market.Users[order.Owner];
            // Another user, or one past the last: nobody.
            var recipient = (order.Owner + order.Recipient) % (Users + 1) is var at && at == order.Owner ? (at + 1) % (Users + 1) : at;
            var command = order.Again is { } again && sent.Count > 0
                ? sent[again % sent.Count]
                : market.Command(order.Kind, owner, order.Kind != TransactionKind.Transfer ? null : recipient < Users ? market.Users[recipient] : Guid.CreateVersion7(),
                    order.Amount, order.Key, order.Body);
            sent.Add(command);
            batch.Add(command);
            if (!order.EndsBatch && order != orders[^1])
                continue;

            var decisions = await engine.PostAsync(connection, batch, CancellationToken.None);
            Assert.Equal(
                batch.Select(naive.Decide),
                decisions.Select(decision => (
                    decision.Kind, decision.TransactionId,
                    decision.Kind == DecisionKind.KeyReused ? null : decision.Outcome!.Rejection?.Code ?? "posted")));
            batch.Clear();
        }

        foreach (var user in market.Users)
            Assert.Equal(naive.BalanceOf(user), await market.BalanceAsync(user));
        Assert.Equal(-market.Users.Aggregate((Int128)0, (sum, user) => sum + naive.BalanceOf(user)), await market.SettlementAsync());
    }

    // Amounts that meet balances exactly, and some near the limits; few keys and bodies, so that they come again.
    private static Gen<Order> Orders =>
        from kind in Gen.Elements(TransactionKind.Deposit, TransactionKind.Deposit, TransactionKind.Withdrawal, TransactionKind.Transfer, TransactionKind.Transfer)
        from owner in Gen.Choose(0, 2)
        from recipient in Gen.Choose(1, 3)
        from amount in Gen.Frequency((12, Gen.Choose(1, 10).Select(amount => (long)amount)), (1, Gen.Constant(Currency.MaxAmount)))
        from key in Gen.Frequency((3, Gen.Constant<string?>(null)), (1, Gen.Elements<string?>("a", "b", "c")))
        from body in Gen.Choose(0, 1)
        from again in Gen.Frequency((8, Gen.Constant<int?>(null)), (1, Gen.Choose(0, 1000).Select(at => (int?)at)))
        from ends in Gen.Frequency((3, Gen.Constant(false)), (1, Gen.Constant(true)))
        select new Order(kind, owner, recipient, amount, key, (byte)body, again, ends);

    /// <param name="Again">Sends an earlier command once more in place of a new one.</param>
    /// <param name="EndsBatch">What follows is another batch.</param>
    private sealed record Order(TransactionKind Kind, int Owner, int Recipient, long Amount, string? Key, byte Body, int? Again, bool EndsBatch);
}
