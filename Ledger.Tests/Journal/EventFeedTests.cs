using System.Collections.Concurrent;
using System.Text.Json;
using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Journal;

/// <summary><c>GET /events</c>: the journal as its readers see it.</summary>
public sealed class EventFeedTests(LedgerSystem system)
{
    [Fact]
    public async Task User_follows_own_transactions_each_once_in_the_order_of_the_balances()
    {
        var (alice, bob) = (await system.NewUserAsync("10.00"), await system.NewUserAsync("10.00"));
        using var over = new CancellationTokenSource(TimeSpan.FromSeconds(3));
        var (events, answered) = (new List<JsonElement>(), new ConcurrentBag<Guid>());
        var moving = new[] { (alice, bob), (bob, alice), (alice, bob), (bob, alice) }.Select(async pair =>
        {
            while (!over.IsCancellationRequested)
            {
                answered.Add((await pair.Item1.TransferAsync(pair.Item2, "0.01")).MustBe(201).TransactionId);
                var rejected = (await pair.Item1.WithdrawAsync("1000.00")).MustBe(422).TransactionId;
                if (pair.Item1 == alice)
                    answered.Add(rejected);
            }
        }).ToArray();

        var next = 0L;
        while (!over.IsCancellationRequested)
            next = await ReadAsync(alice, next, events);
        await Task.WhenAll(moving);
        await Eventually.TrueAsync(async () =>
        {
            next = await ReadAsync(alice, next, events);
            return answered.ToHashSet().IsSubsetOf(events.Select(IdOf));
        });

        Assert.Equal(events.Count, events.Select(IdOf).Distinct().Count());
        Assert.Equal(events.Select(item => item.GetProperty("sequence").GetInt64()).Order(), events.Select(item => item.GetProperty("sequence").GetInt64()));
        // Everything that the database has of her, the rejected ones too, and nothing of his.
        var own = await Books.TextsAsync(await system.DatabaseAsync(), """
            select t.id::text from ledger.transactions t
            where t.owner_id = $1 or exists (select from ledger.accounts a where a.owner_id = $1 and a.id = any (t.account_ids))
            """, alice.Id);
        Assert.Equal(own.Order(), events.Select(item => IdOf(item).ToString()).Order());
        var balance = 0m;
        foreach (var entry in events.SelectMany(item => item.GetProperty("data").GetProperty("entries").EnumerateArray()))
        {
            balance += decimal.Parse(entry.GetProperty("amount").GetString()!, System.Globalization.CultureInfo.InvariantCulture);
            Assert.Equal(balance, decimal.Parse(entry.GetProperty("balanceAfter").GetString()!, System.Globalization.CultureInfo.InvariantCulture));
        }
    }

    [Fact]
    public async Task Staff_and_service_accounts_read_all_transactions_and_those_of_one_user()
    {
        var user = await system.NewUserAsync();
        var deposit = (await user.DepositAsync("1.00")).MustBe(201).TransactionId;
        long sequence = 0;
        await Eventually.TrueAsync(async () => long.TryParse((await user.TransactionAsync(deposit)).MustBe(200).Json.GetProperty("sequence").ToString(), out sequence));
        var service = await system.NewServiceAsync(Scopes.Read);
        foreach (var token in new[] { (await system.NewOperatorAsync()).Token, (await system.NewStaffAsync(Roles.Auditor)).Token, service.Key })
        {
            var page = (await user.Api.GetAsync($"events?after={sequence - 1}&limit=1", token)).MustBe(200).Json;

            var only = Assert.Single(page.GetProperty("items").EnumerateArray());
            Assert.Equal((deposit, sequence, "transaction.posted"), (IdOf(only), page.GetProperty("next").GetInt64(), only.GetProperty("type").GetString()));
            Assert.Equal(1, only.GetProperty("data").GetProperty("entries").GetArrayLength());

            var own = (await user.Api.GetAsync($"events?onBehalfOf={user.Id}", token)).MustBe(200).Json;
            Assert.Equal(deposit, IdOf(Assert.Single(own.GetProperty("items").EnumerateArray())));
        }
        Assert.Empty((await (await system.NewUserAsync()).GetAsync("events")).MustBe(200).Json.GetProperty("items").EnumerateArray());
    }

    [Theory]
    [InlineData("after=-1")]
    [InlineData("after=x")]
    [InlineData("limit=0")]
    [InlineData("limit=1001")]
    public async Task Invalid_place_is_refused(string query) =>
        (await (await system.NewUserAsync()).GetAsync($"events?{query}")).MustBe(400, "validation_failed");

    private static Guid IdOf(JsonElement item) => item.GetProperty("id").GetGuid();

    private static async Task<long> ReadAsync(LedgerUser user, long after, List<JsonElement> events)
    {
        var page = (await user.GetAsync($"events?after={after}&limit=7")).MustBe(200).Json;
        events.AddRange(page.GetProperty("items").EnumerateArray());
        return page.GetProperty("next").GetInt64();
    }
}
