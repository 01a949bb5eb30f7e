using System.Text.Json;
using Ledger.Api.Accounts;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Accounts;

/// <summary>Statements in the order of the times of effect.</summary>
public sealed class StatementByEffectTests(LedgerSystem system)
{
    private static readonly DateTime January = new(2024, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    [Fact]
    public async Task Statement_by_effect_has_the_sorted_entries_of_any_period_while_back_dated_ones_arrive()
    {
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, users: 1);
        var (user, sender) = (market.Users[0], await market.NewOperatorAsync());
        var random = new Random(20);
        var engine = new PostingEngine();
        await using var connection = await database.OpenConnectionAsync();
        for (var i = 0; i < 60; i++)
            await PostAsync();
        var account = (await Books.TextsAsync(database, "select id::text from ledger.accounts where owner_id = $1", user)).Select(Guid.Parse).Single();
        var statements = new StatementQueries(database);
        var reader = new StatementReader(user, user);

        for (var i = 0; i < 60; i++)
        {
            var all = (await EntriesAsync()).OrderBy(entry => entry.EffectiveAt).ThenBy(entry => entry.Id).ToList();
            DateTime?[] bounds = [Bound(), Bound()];
            var (from, to) = bounds is [{ } a, { } b] && a > b ? (b, a) : (bounds[0], bounds[1]);
            var expected = all.Where(entry => !(entry.EffectiveAt < from) && !(entry.EffectiveAt >= to)).ToList();
            var (opening, limit) = (all.Where(entry => entry.EffectiveAt < from).Sum(entry => entry.Amount), random.Next(1, 8));

            var listed = new List<(DateTime, long, long)>();
            var running = opening;
            (EntryPlace? place, DateTime? known) = (null, null);
            IReadOnlyList<StatementEntry> page;
            do
            {
                var statement = (await statements.FindByEffectAsync(reader, account, from, to, place, known, CancellationToken.None))!;
                Assert.Equal((opening, opening + expected.Sum(entry => entry.Amount), running), (statement.Opening, statement.Closing, statement.Reached!.Value));
                page = await statements.ReadAsync(reader, statement, place ?? statement.Start, statement.Reached, limit, CancellationToken.None);
                foreach (var entry in page)
                {
                    Assert.Equal(running += entry.Amount, entry.BalanceAfter);
                    listed.Add((entry.EffectiveAt, entry.Place.Id, entry.Amount));
                    place = entry.Place;
                }
                if (known is null)
                    await PostAsync();
                known = statement.Known;
            }
            while (page.Count == limit);
            Assert.Equal(expected, listed);

            // At times of entries and days, beside them, and none.
            DateTime? Bound() => random.Next(4) switch
            {
                0 => null,
                1 => January.AddDays(random.Next(5)),
                2 => all[random.Next(all.Count)].EffectiveAt,
                _ => all[random.Next(all.Count)].EffectiveAt.AddMicroseconds(1),
            };
        }

        async Task PostAsync()
        {
            var (world, own) = (new PostingEnd(), new PostingEnd(UserId: user));
            var command = random.Next(3) == 0
                ? market.Journal(sender, market.Posting(world, own, 10), market.Posting(own, world, 7), market.Posting(world, own, 1))
                : market.Deposit(user, random.Next(1, 100)) with { PrincipalId = sender };
            if (random.Next(2) == 0)
                command = command with { Terms = (command.Terms ?? new CommandTerms()) with { EffectiveAt = January.AddDays(random.Next(5)) } };
            Assert.Equal(TransactionStatus.Posted, Assert.Single(await engine.PostAsync(connection, [command], CancellationToken.None)).Outcome!.Status);
        }

        async Task<List<(DateTime EffectiveAt, long Id, long Amount)>> EntriesAsync()
        {
            await using var read = new NpgsqlCommand("select coalesce(effective_at, posted_at), id, amount from ledger.entries where account_id = $1", connection)
            {
                Parameters = { new() { Value = account } },
            };
            await using var row = await read.ExecuteReaderAsync();
            var entries = new List<(DateTime, long, long)>();
            while (await row.ReadAsync())
                entries.Add((row.GetDateTime(0), row.GetInt64(1), row.GetInt64(2)));
            return entries;
        }
    }

    [Fact]
    public async Task Back_dated_entry_stands_where_it_takes_effect_in_JSON_and_CSV()
    {
        var (op, user) = (await system.NewOperatorAsync(), await system.NewUserAsync());
        var plain = (await user.DepositAsync("1.00")).MustBe(201);
        await BackDateAsync("20.00", "2024-02-01T00:00:00Z");
        await BackDateAsync("3.00", "2024-01-31T23:59:59.999999Z");
        var path = $"accounts/{await StatementTests.AccountAsync(user)}/entries?by=effective";

        var statement = (await user.GetAsync(path)).MustBe(200);
        Assert.Equal(("0.00", "24.00"), (statement["openingBalance"], statement["closingBalance"]));
        Assert.Equal(
            ["3.00 3.00 2024-01-31T23:59:59.999999Z", "20.00 23.00 2024-02-01T00:00:00Z", $"1.00 24.00 {plain["postedAt"]}"],
            statement.Json.GetProperty("items").EnumerateArray().Select(item => $"{Text(item, "amount")} {Text(item, "balanceAfter")} {Text(item, "effectiveAt")}"));
        var january = (await user.GetAsync($"{path}&to=2024-02-01T00:00:00Z")).MustBe(200);
        Assert.Equal(("0.00", "3.00", 1), (january["openingBalance"], january["closingBalance"], january.Json.GetProperty("items").GetArrayLength()));
        Assert.Equal(("0.00", "0.00"), await BalancesAsync($"{path.Replace("effective", "posted", StringComparison.Ordinal)}&to=2024-02-01T00:00:00Z"));
        Assert.Equal(("3.00", "24.00"), await BalancesAsync($"{path}&from=2024-02-01T00:00:00Z"));
        var csv = (await StatementTests.CsvAsync(user.Api, user.Token, $"{path}&from=2024-02-01T00:00:00Z")).MustBe(200).Text.Split("\r\n");
        Assert.Equal(",,,opening_balance,,3.00,USD,", csv[1]);
        Assert.Contains(",2024-02-01T00:00:00.000000Z,", csv[2], StringComparison.Ordinal);
        Assert.Equal(["20.00,23.00", "1.00,24.00"], csv[2..4].Select(row => string.Join(',', row.Split(',')[4..6])));
        Assert.Equal([",,,closing_balance,,24.00,USD,", ""], csv[4..]);

        // A cursor belongs to one order, and to what was posted when its first page was read.
        var first = (await user.GetAsync($"{path}&limit=1")).MustBe(200);
        await BackDateAsync("500.00", "2024-02-15T00:00:00Z");
        var second = (await user.GetAsync($"{path}&limit=5&cursor={first["nextCursor"]}")).MustBe(200);
        Assert.Equal(("0.00", "24.00", 2), (second["openingBalance"], second["closingBalance"], second.Json.GetProperty("items").GetArrayLength()));
        var byPosting = (await user.GetAsync($"{path.Split('?')[0]}?limit=1")).MustBe(200)["nextCursor"];
        Assert.Contains("cursor", (await user.GetAsync($"{path}&cursor={byPosting}")).MustBe(400, "validation_failed").Text, StringComparison.Ordinal);
        Assert.Contains("cursor", (await user.GetAsync($"{path.Split('?')[0]}?cursor={first["nextCursor"]}")).MustBe(400, "validation_failed").Text, StringComparison.Ordinal);

        async Task BackDateAsync(string amount, string effectiveAt) =>
            (await op.PostAsync("deposits", new { currency = "USD", amount, onBehalfOf = user.Id, effectiveAt })).MustBe(201);

        async Task<(string?, string?)> BalancesAsync(string of) => (await user.GetAsync(of)).MustBe(200) is var page ? (page["openingBalance"], page["closingBalance"]) : default;

        static string Text(JsonElement item, string name) => item.GetProperty(name).GetString()!;
    }
}
