using Ledger.Tests.Harness;

namespace Ledger.Tests.Transactions;

/// <summary>Many concurrent clients, through two APIs and two workers.</summary>
public sealed class ConcurrencyTests(LedgerSystem system)
{
    [Fact]
    public async Task Concurrent_withdrawals_are_posted_until_the_money_is_spent()
    {
        var apis = await system.ApisAsync();
        var user = await system.NewUserAsync("100.00");

        var answers = await Task.WhenAll(Enumerable.Range(0, 60).Select(i => user.At(apis[i % 2]).WithdrawAsync("3.00")));

        var posted = answers.Where(answer => answer.Status == 201).ToList();
        Assert.Equal(33, posted.Count);
        Assert.All(answers.Except(posted), answer => Assert.Equal("1.00", answer.MustBe(422, "insufficient_funds")["available"]));
        // Each left another balance: they were posted one after the other.
        Assert.Equal(
            Enumerable.Range(0, 33).Select(i => 1m + 3 * i),
            posted.Select(answer => decimal.Parse(answer.Json.GetProperty("entries")[0].GetProperty("balanceAfter").GetString()!, System.Globalization.CultureInfo.InvariantCulture)).Order());
        Assert.Equal(1, await user.BalanceAsync());
    }

    [Fact]
    public async Task Concurrent_transfers_between_few_users_keep_the_total()
    {
        var apis = await system.ApisAsync();
        var users = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => system.NewUserAsync("50.00")));
        var random = new Random(11);
        var orders = Enumerable.Range(0, 300).Select(i => (From: random.Next(4), Step: random.Next(1, 4), Amount: random.Next(1, 60), Api: i % 2)).ToList();

        var answers = await Task.WhenAll(orders.Select(async order =>
            (order, Answer: await users[order.From].At(apis[order.Api]).TransferAsync(users[(order.From + order.Step) % 4], $"{order.Amount}.00"))));

        var balances = new decimal[4];
        Array.Fill(balances, 50);
        foreach (var (order, answer) in answers)
        {
            if (answer.Status != 201)
            {
                answer.MustBe(422, "insufficient_funds");
                continue;
            }
            balances[order.From] -= order.Amount;
            balances[(order.From + order.Step) % 4] += order.Amount;
        }
        Assert.Equal(balances, await Task.WhenAll(users.Select(user => user.BalanceAsync())));
        Assert.Equal(200, balances.Sum());
        Assert.All(balances, balance => Assert.True(balance >= 0));
        await Books.MustBalanceAsync(await system.DatabaseAsync());
    }

    [Fact]
    public async Task Concurrent_requests_with_one_key_post_once_and_get_the_same_answer()
    {
        var apis = await system.ApisAsync();
        var user = await system.NewUserAsync();

        var answers = await Task.WhenAll(Enumerable.Range(0, 50).Select(i => user.At(apis[i % 2]).DepositAsync("7.00", key: "once", reference: "r")));

        Assert.All(answers, answer => answer.MustBe(201));
        // All but its place in the journal, which it gets in a moment.
        Assert.Single(answers.Select(answer => string.Join(' ', answer.Json.EnumerateObject().Where(field => field.Name != "sequence"))).Distinct());
        Assert.Single(answers, answer => !answer.IsReplay);
        Assert.Equal(7, await user.BalanceAsync());
        Assert.Equal(1, await Books.NumberAsync(await system.DatabaseAsync(), "select count(*) from ledger.transactions where owner_id = $1", user.Id));
    }

    [Fact]
    public async Task Concurrent_requests_with_one_key_and_two_bodies_post_one_of_them()
    {
        var apis = await system.ApisAsync();
        var user = await system.NewUserAsync();

        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => user.At(apis[i % 2]).DepositAsync(i % 4 < 2 ? "1.00" : "2.00", key: "k")));

        var amount = Assert.Single(answers.Where(answer => answer.Status == 201).Select(answer => answer["amount"]).Distinct());
        Assert.All(answers.Where(answer => answer.Status != 201), answer => answer.MustBe(422, "idempotency_key_reused"));
        Assert.Equal(10, answers.Count(answer => answer.Status == 201));
        Assert.Equal(amount, (await user.GetAsync("balances/USD")).MustBe(200)["posted"]);
    }

    [Fact]
    public async Task Concurrent_requests_with_one_key_that_wait_or_not_post_one_transaction()
    {
        var apis = await system.ApisAsync();
        var user = await system.NewUserAsync();

        var answers = await Task.WhenAll(Enumerable.Range(0, 30).Select(i =>
            user.At(apis[i % 2]).DepositAsync("7.00", key: "k", prefer: (i % 3) switch { 0 => "respond-async", 1 => "wait=0", _ => null })));

        Assert.All(answers, answer => Assert.True(answer.Status is 201 or 202, answer.Text));
        var id = Assert.Single(answers.Select(answer => answer.TransactionId).Distinct());
        Assert.Equal("posted", (await user.DecidedAsync(id))["status"]);
        Assert.Equal(7, await user.BalanceAsync());
        Assert.Equal(1, await Books.NumberAsync(await system.DatabaseAsync(), "select count(*) from ledger.transactions where owner_id = $1", user.Id));
    }

    [Fact]
    public async Task Recipient_of_many_concurrent_transfers_gets_all_of_them()
    {
        var apis = await system.ApisAsync();
        var shop = await system.NewUserAsync();
        var customers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => system.NewUserAsync("10.00")));

        var answers = await Task.WhenAll(Enumerable.Range(0, 200).Select(i => customers[i % 20].At(apis[i % 2]).TransferAsync(shop, "1.00")));

        Assert.All(answers, answer => answer.MustBe(201));
        Assert.Equal(200, await shop.BalanceAsync());
        Assert.All(await Task.WhenAll(customers.Select(customer => customer.BalanceAsync())), balance => Assert.Equal(0, balance));
    }

    [Fact]
    public async Task Burst_of_asynchronous_requests_is_decided_completely()
    {
        var user = await system.NewUserAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => user.DepositAsync("1.00", prefer: "respond-async")));

        Assert.All(answers, answer => Assert.True(answer.Status is 201 or 202, answer.Text));
        Assert.Equal(100, answers.Select(answer => answer.TransactionId).Distinct().Count());
        foreach (var answer in answers)
            Assert.Equal("posted", (await user.DecidedAsync(answer.TransactionId))["status"]);
        Assert.Equal(100, await user.BalanceAsync());
    }
}
