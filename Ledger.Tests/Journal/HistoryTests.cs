using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Journal;

/// <summary>History does not change: four clients in a loop, two APIs, two workers. <c>LEDGER_TEST_HISTORY_SECONDS</c> says for how long.</summary>
public sealed class HistoryTests(LedgerSystem system)
{
    private const int Clients = 4;

    private static readonly TimeSpan s_duration = TimeSpan.FromSeconds(
        double.TryParse(Environment.GetEnvironmentVariable("LEDGER_TEST_HISTORY_SECONDS"), CultureInfo.InvariantCulture, out var seconds) ? seconds : 10);

    [Fact]
    public async Task A_balance_at_a_time_stays_as_it_was_answered_and_the_feed_has_every_transaction_once_in_the_order_of_balances()
    {
        var database = await system.DatabaseAsync();
        var apis = await system.ApisAsync();
        var users = await Task.WhenAll(Enumerable.Range(0, Clients).Select(client => apis[client % apis.Count].NewUserAsync()));
        var key = (await system.NewServiceAsync(Scopes.Read)).Key;
        var start = await Books.NumberAsync(database, "select coalesce(max(sequence), 0) from ledger.journal");
        foreach (var user in users)
            (await user.DepositAsync("100.00")).MustBe(201);
        var answers = new ConcurrentBag<(LedgerUser User, string At, string Balance)>();
        var notYet = 0;
        using var over = new CancellationTokenSource(s_duration);

        var feed = new List<JsonElement>();
        var next = start;
        var following = Task.Run(async () =>
        {
            while (!over.IsCancellationRequested)
                next = await ReadAsync(apis[0], next);
        });
        await Task.WhenAll(users.Select((user, client) => Task.Run(async () =>
        {
            var random = new Random(client);
            while (!over.IsCancellationRequested)
            {
                // Others credit this account meanwhile, each by a batch of its own.
                (await user.TransferAsync(users[(client + random.Next(1, Clients)) % Clients], "0.01")).MustBe(201);
                var at = DateTime.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);
                var answer = await user.At(apis[random.Next(apis.Count)]).GetAsync($"balances/USD?at={at}");
                if (answer.Status == 503)
                    Interlocked.Increment(ref notYet);
                else
                    answers.Add((user, at, answer.MustBe(200)["posted"]!));
            }
        })));
        await following;

        // The same questions again, of the other APIs too.
        var changed = 0;
        await Parallel.ForEachAsync(answers, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (asked, _) =>
        {
            if ((await asked.User.At(apis[Random.Shared.Next(apis.Count)]).GetAsync($"balances/USD?at={asked.At}")).MustBe(200)["posted"] != asked.Balance)
                Interlocked.Increment(ref changed);
        });
        var ids = users.Select(user => user.Id).ToArray();
        var decided = await Books.TextsAsync(database, """
            select t.id::text from ledger.transactions t
            where t.owner_id = any ($1) or t.account_ids && array(select a.id from ledger.accounts a where a.owner_id = any ($1))
            """, ids);
        var accounts = (await Books.TextsAsync(database, "select id::text from ledger.accounts where owner_id = any ($1)", ids)).ToHashSet();
        await Eventually.TrueAsync(async () =>
        {
            next = await ReadAsync(apis[^1], next);
            return decided.ToHashSet().IsSubsetOf(feed.Select(IdOf));
        }, otherwise: () => "The feed lacks a transaction of the database.");

        TestContext.Current.SendDiagnosticMessage(
            $"History of {s_duration.TotalSeconds:0} s: {answers.Count} balances asked twice, {changed} changed, {notYet} were not final within 2 s; {feed.Count} events followed, {decided.Count} of the clients");
        Assert.Equal(0, changed);
        Assert.True(answers.Count > 20 && answers.Select(answer => answer.Balance).Distinct().Count() > 10, $"Only {answers.Count} balances were asked for.");
        Assert.True(notYet < answers.Count / 20, $"{notYet} of {answers.Count} balances were not final in time.");
        Assert.Equal(feed.Count, feed.Select(IdOf).Distinct().Count());
        Assert.Equal(Enumerable.Range(1, feed.Count).Select(place => start + place), feed.Select(item => item.GetProperty("sequence").GetInt64()));
        Assert.Equal(decided.Order(), feed.Where(IsOfClients).Select(IdOf).Order());
        // Each account's balances follow from each other: the clients' from zero, those of other tests from the first that was read.
        var balances = accounts.ToDictionary(account => account, _ => 0m);
        foreach (var entry in feed.SelectMany(item => item.GetProperty("data").GetProperty("entries").EnumerateArray()))
        {
            if (entry.GetProperty("balanceAfter").GetString() is not { } text)
                continue;
            var (account, after) = (entry.GetProperty("accountId").GetString()!, Parse(text));
            if (balances.TryGetValue(account, out var before))
                Assert.Equal(before + Parse(entry.GetProperty("amount").GetString()!), after);
            balances[account] = after;
        }

        async Task<long> ReadAsync(LedgerApi api, long after)
        {
            var page = (await api.GetAsync($"events?after={after}&limit=100", key)).MustBe(200).Json;
            feed.AddRange(page.GetProperty("items").EnumerateArray());
            return page.GetProperty("next").GetInt64();
        }

        bool IsOfClients(JsonElement item) => item.GetProperty("data").GetProperty("entries").EnumerateArray().Any(entry => accounts.Contains(entry.GetProperty("accountId").GetString()!));
    }

    private static string IdOf(JsonElement item) => item.GetProperty("id").GetString()!;

    private static decimal Parse(string amount) => decimal.Parse(amount, CultureInfo.InvariantCulture);
}
