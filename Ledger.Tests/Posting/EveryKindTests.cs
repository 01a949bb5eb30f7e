using FsCheck;
using FsCheck.Fluent;
using Ledger.Core.Currencies;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Core.Verification;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Posting;

/// <summary>The engine with all kinds of commands against <see cref="NaiveBooks"/>.</summary>
public sealed class EveryKindTests(LedgerSystem system)
{
    private static readonly DateTime Past = new(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    [Fact]
    public async Task Any_sequence_of_every_kind_decides_as_naive_accounting_does()
    {
        await using var database = await system.FreshLedgerAsync();
        Law.HoldsForSequences(Orders, orders => CompareAsync(database, orders).GetAwaiter().GetResult(), cases: 25);

        await Books.MustBalanceAsync(database);
        var report = await new Verifier(database).VerifyAsync(TimeSpan.FromHours(1), 20, CancellationToken.None);
        Assert.True(report.IsClean, string.Join('\n', report.Results.SelectMany(result => result.Rows.Select(row => $"{result.Check.Name}: {row}"))));

        await LedgerCopy.SealAsync(database);
        using var file = new TemporaryFile();
        await LedgerCopy.ExportAsync(database, file.Path);
        await using var copy = await system.FreshLedgerAsync();
        await LedgerCopy.ImportAsync(copy, file.Path);
        await LedgerCopy.MustBeSameAsync(database, copy);
    }

    private static async Task CompareAsync(NpgsqlDataSource database, Order[] orders)
    {
        var (market, other) = (await Market.OpenAsync(database, users: 3), await Market.OpenAsync(database, users: 0));
        var (sender, stranger) = (await market.NewOperatorAsync(), Guid.CreateVersion7());
        var (fees, escrow) = (await market.NewHouseAccountAsync("fees"), await market.NewHouseAccountAsync("escrow", creditLimit: 25));
        var savings = await market.NewAccountAsync(market.Users[0], "savings");
        var naive = new NaiveBooks
        {
            Users = market.Users.ToHashSet(),
            Named = new Dictionary<string, string>
            {
                [savings.ToString()] = $"savings {market.Currency}",
                [$"{fees} {market.Currency}"] = $"fees {market.Currency}",
                [$"{escrow} {market.Currency}"] = $"escrow {market.Currency}",
            },
        };
        naive.SetLimit($"escrow {market.Currency}", 25);
        PostingEnd[] ends =
        [
            .. market.Users.Select(user => new PostingEnd(UserId: user)), new(AccountId: savings), new(House: fees), new(House: escrow), new(), new(UserId: stranger), new(House: "none"),
        ];

        var (sent, batch) = (new List<Command>(), new List<Command>());
        await using var connection = await database.OpenConnectionAsync();
        var engine = new PostingEngine();
        foreach (var order in orders)
        {
            var command = CommandOf(order);
            sent.Add(command);
            batch.Add(command);
            if (!order.EndsBatch && order != orders[^1])
                continue;

            var decisions = await engine.PostAsync(connection, batch, CancellationToken.None);
            Assert.Equal(batch.Select(naive.Decide), decisions.Select(decision => decision.Outcome!.Rejection switch
            {
                { Index: { } index } rejection => $"{rejection.Code} {index}",
                { } rejection => rejection.Code,
                null => "posted",
            }));
            batch.Clear();
            if (order.Limit is { } limit)
                await SetLimitAsync(market.Users[order.A % 3], limit);
        }

        foreach (var currency in new[] { market, other })
        {
            foreach (var user in market.Users)
                await AgreeAsync(NaiveBooks.MainOf(user, currency.Currency), "a.owner_id = $2 and a.name = 'main'", currency.Currency, user);
            await AgreeAsync($"world {currency.Currency}", "a.kind = 'settlement' and $2::uuid is not null", currency.Currency, sender);
            await AgreeAsync($"exchange {currency.Currency}", "a.kind = 'exchange' and $2::uuid is not null", currency.Currency, sender);
        }
        await AgreeAsync($"savings {market.Currency}", "a.id = $2", market.Currency, savings);
        await AgreeAsync($"fees {market.Currency}", "a.name = 'fees' and $2::uuid is not null", market.Currency, sender);
        await AgreeAsync($"escrow {market.Currency}", "a.name = 'escrow' and $2::uuid is not null", market.Currency, sender);

        async Task AgreeAsync(string account, string which, string currency, Guid id)
        {
            Assert.Equal((account, (long)naive.BalanceOf(account)), (account, await Books.NumberAsync(
                database, $"select coalesce(sum(a.posted), 0)::bigint from ledger.accounts a where a.currency = $1 and {which}", currency, id)));
            Assert.Equal((account, (long)naive.InEffect(account, Past.AddDays(2))), (account, await Books.NumberAsync(database, $"""
                select coalesce(sum(e.amount), 0)::bigint from ledger.accounts a join ledger.entries e on e.account_id = a.id
                where a.currency = $1 and {which} and coalesce(e.effective_at, e.posted_at) <= '{Past.AddDays(2):O}'
                """, currency, id)));
        }

        async Task SetLimitAsync(Guid user, long limit)
        {
            var account = await Books.TextsAsync(database, "select id::text from ledger.accounts where owner_id = $1 and currency = $2 and name = 'main'", user, market.Currency);
            if (account.Count == 0)
                return;
            var isSet = true;
            try
            {
                await Books.ExecuteAsync(database, $"select set_config('ledger.caller', '{sender}', true); select ledger.set_credit_limit('{account[0]}', {limit})");
            }
            catch (PostgresException e) when (e.ConstraintName == "accounts_within_limit")
            {
                isSet = false;
            }
            Assert.Equal(naive.SetLimit(NaiveBooks.MainOf(user, market.Currency), limit), isSet);
        }

        Command CommandOf(Order order)
        {
            var (owner, recipient) = (market.Users[order.A % 3], ends[order.B % ends.Length]);
            var command = order.Kind switch
            {
                TransactionKind.Deposit => market.Deposit(owner, order.Amount),
                TransactionKind.Withdrawal => market.Withdrawal(owner, order.Amount),
                TransactionKind.Transfer => market.Transfer(owner, recipient.UserId ?? recipient.AccountId ?? stranger, order.Amount),
                TransactionKind.Journal => market.Journal(sender, [.. order.Postings.Select(posting => (posting.IsOther ? other : market).Posting(
                    ends[posting.From % ends.Length], ends[posting.To % ends.Length], posting.Amount))]),
                TransactionKind.Exchange => order.B % 2 == 0
                    ? market.Exchange(sender, owner, order.Amount, new Money(order.Amount + 3, other.Currency))
                    : other.Exchange(sender, owner, order.Amount, new Money(order.Amount + 3, market.Currency)),
                _ => sent.Count == 0 ? market.Deposit(owner, order.Amount) : market.Reversal(sender, sent[order.B % sent.Count]),
            };
            // Of a batch before: what a reversal names, its client has seen posted.
            if (command.Terms?.Reverses is { } original && batch.Any(queued => queued.Id == original))
                command = market.Deposit(owner, order.Amount);
            if (order.IsFromSavings && command.OwnerId == market.Users[0] && command.Kind is (TransactionKind.Withdrawal or TransactionKind.Transfer))
                return command with { Terms = new CommandTerms { AccountId = savings } };
            return order.Day is { } day && command.PrincipalId == sender ? command with { Terms = command.Terms! with { EffectiveAt = Past.AddDays(day) } } : command;
        }
    }

    // Small amounts, so that balances and limits are met exactly.
    private static Gen<Order> Orders =>
        from kind in Gen.Frequency(
            (3, Gen.Constant(TransactionKind.Deposit)), (1, Gen.Constant(TransactionKind.Withdrawal)), (2, Gen.Constant(TransactionKind.Transfer)),
            (4, Gen.Constant(TransactionKind.Journal)), (2, Gen.Constant(TransactionKind.Exchange)), (3, Gen.Constant(TransactionKind.Reversal)))
        from a in Gen.Choose(0, 2)
        from b in Gen.Choose(0, 1000)
        from amount in Gen.Choose(1, 20)
        from count in Gen.Choose(1, 4)
        from postings in PostingOrders.ArrayOf(count)
        from day in Gen.Frequency((2, Gen.Constant<int?>(null)), (1, Gen.Choose(0, 4).Select(day => (int?)day)))
        from limit in Gen.Frequency((4, Gen.Constant<int?>(null)), (1, Gen.Choose(0, 30).Select(limit => (int?)limit)))
        from isFromSavings in Gen.Elements(false, false, true)
        from ends in Gen.Elements(false, true)
        select new Order(kind, a, b, amount, postings, day, limit, isFromSavings, ends);

    private static Gen<PostingOrder> PostingOrders =>
        from @from in Gen.Frequency((1, Gen.Constant(6)), (6, Gen.Choose(0, 6)), (1, Gen.Choose(0, 8)))
        from to in Gen.Frequency((7, Gen.Choose(0, 6)), (1, Gen.Choose(0, 8)))
        from amount in Gen.Choose(1, 10)
        from isOther in Gen.Elements(false, false, false, true)
        select new PostingOrder(@from, to, amount, isOther);

    private sealed record Order(
        TransactionKind Kind, int A, int B, int Amount, PostingOrder[] Postings, int? Day, int? Limit, bool IsFromSavings, bool EndsBatch);

    private sealed record PostingOrder(int From, int To, int Amount, bool IsOther);
}
