using System.Collections.Concurrent;
using System.Text.Json;
using Ledger.Core.Currencies;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Ledger.Tests.Monitoring;

namespace Ledger.Tests.Messaging;

/// <summary>What others hear of the ledger: CloudEvents 1.0 on a topic exchange.</summary>
public sealed class EventTests(LedgerSystem system)
{
    [Fact]
    public async Task Decided_transactions_are_published_under_their_status_and_currency()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 2);
        var (alice, bob) = (market.Users[0], market.Users[1]);
        await using var broker = await Broker.ConnectAsync(await system.BrokerAsync());
        var posted = await broker.ListenAsync($"transaction.posted.{market.Currency}");
        var rejected = await broker.ListenAsync($"transaction.rejected.{market.Currency}");
        var deposit = market.Deposit(alice, 1000) with { Reference = "r", Metadata = """{"a":"b"}""" };
        var transfer = market.Transfer(alice, bob, 250);
        var refused = market.Withdrawal(bob, 9999);

        await broker.PublishAsync(deposit, transfer, refused);

        await Eventually.TrueAsync(() => Task.FromResult(EventsIn(posted).Count() >= 2 && EventsIn(rejected).Any()));
        Assert.All(posted.Concat(rejected), message => Assert.Equal(TransactionEvents.ContentType, message.ContentType));
        var events = EventsIn(posted).ToDictionary(item => item.GetProperty("id").GetGuid());
        Assert.Equal(new HashSet<Guid> { deposit.Id, transfer.Id }, events.Keys.ToHashSet());

        var announced = events[deposit.Id];
        Assert.Equal(
            ("1.0", "transaction.posted", "/ledger", "application/json"),
            (announced.GetProperty("specversion").GetString(), announced.GetProperty("type").GetString(), announced.GetProperty("source").GetString(), announced.GetProperty("datacontenttype").GetString()));
        Assert.True(announced.GetProperty("time").TryGetDateTimeOffset(out _));
        var data = announced.GetProperty("data");
        Assert.Equal(
            (deposit.Id, "deposit", "posted", alice, market.Currency, "10.00", "r", "b"),
            (data.GetProperty("id").GetGuid(), data.GetProperty("kind").GetString(), data.GetProperty("status").GetString(), data.GetProperty("ownerId").GetGuid(),
                data.GetProperty("currency").GetString(), data.GetProperty("amount").GetString(), data.GetProperty("reference").GetString(), data.GetProperty("metadata").GetProperty("a").GetString()));
        // The settlement account's side is the ledger's own business.
        Assert.Equal([(alice, "10.00", "10.00")], EntriesOf(announced));
        Assert.Equal([(alice, "-2.50", "7.50"), (bob, "2.50", "2.50")], EntriesOf(events[transfer.Id]));

        var refusal = Assert.Single(EventsIn(rejected));
        Assert.Equal((refused.Id, "transaction.rejected", "insufficient_funds"), (refusal.GetProperty("id").GetGuid(), refusal.GetProperty("type").GetString(), refusal.GetProperty("data").GetProperty("rejection").GetString()));
    }

    [Fact]
    public async Task A_command_that_ends_as_failed_when_its_time_is_over_is_announced_and_counted()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 1);
        await using var broker = await Broker.ConnectAsync(await system.BrokerAsync());
        var failed = await broker.ListenAsync($"transaction.failed.{market.Currency}");
        var command = market.Deposit(market.Users[0], 100);
        await PendingCommands.RecordAsync(market.Database, command, TimeSpan.FromHours(1), CancellationToken.None);

        await Books.ExecuteAsync(market.Database, "update ledger.pending_commands set failure = 'no room', failed_at = now(), ends_at = now() where id = $1", command.Id);

        await Eventually.TrueAsync(() => Task.FromResult(EventsIn(failed).Any()));
        Assert.All(EventsIn(failed), announced => Assert.Equal(
            (command.Id, "transaction.failed", "failed"),
            (announced.GetProperty("id").GetGuid(), announced.GetProperty("type").GetString(), announced.GetProperty("data").GetProperty("status").GetString())));
        await Eventually.TrueAsync(async () => await Books.NumberAsync(market.Database, "select count(*) from ledger.pending_commands where id = $1", command.Id) == 0);
        Assert.Equal(1, await market.CountAsync("failed"));
        await Eventually.TrueAsync(async () =>
        {
            var counted = 0d;
            foreach (var metrics in await system.MetricsAsync())
                counted += (await Scrape.OfAsync(metrics))["""ledger_commands_failed_total{kind="deposit"}"""] ?? 0;
            return counted > 0;
        });
    }

    [Fact]
    public async Task Journals_exchanges_and_reversals_are_published_with_the_entries_of_users_and_of_the_house()
    {
        var (market, other) = (await Market.OpenAsync(await system.DatabaseAsync(), users: 2), await Market.OpenAsync(await system.DatabaseAsync(), users: 0));
        var (alice, bob, sender, fees) = (market.Users[0], market.Users[1], await market.NewOperatorAsync(), await market.NewHouseAccountAsync());
        await using var broker = await Broker.ConnectAsync(await system.BrokerAsync());
        var posted = await broker.ListenAsync($"transaction.posted.{market.Currency}");
        var rejected = await broker.ListenAsync($"transaction.rejected.{market.Currency}");
        var journal = market.Journal(sender, market.Posting(new(UserId: alice), new(UserId: bob), 970), market.Posting(new(UserId: alice), new(House: fees), 30));
        Command[] commands =
        [
            market.Deposit(alice, 2000), journal, market.Exchange(sender, alice, 1000, new Money(900, other.Currency)), market.Reversal(sender, journal), market.Reversal(sender, journal),
        ];

        foreach (var (i, command) in commands.Index())
        {
            await broker.PublishAsync(command);
            await Eventually.TrueAsync(() => Task.FromResult(EventsIn(posted).Count() + EventsIn(rejected).Count() > i));
        }

        var events = EventsIn(posted).ToDictionary(item => item.GetProperty("data").GetProperty("kind").GetString()!);
        Assert.Equal(
            [$"{alice} -9.70 10.30", $"{bob} 9.70 9.70", $"{alice} -0.30 10.00", " 0.30 0.30"], EntriesIn(events["journal"]));
        Assert.Equal([$"{alice} -10.00 0.00", $"{alice} 9.00 9.00"], EntriesIn(events["exchange"]));
        Assert.Equal([" -0.30 0.00", $"{alice} 0.30 0.30", $"{bob} -9.70 0.00", $"{alice} 9.70 10.00"], EntriesIn(events["reversal"]));
        Assert.Equal(journal.Id, events["reversal"].GetProperty("data").GetProperty("reverses").GetGuid());
        var refused = Assert.Single(EventsIn(rejected)).GetProperty("data");
        Assert.Equal(("reversal", "already_reversed"), (refused.GetProperty("kind").GetString(), refused.GetProperty("rejection").GetString()));

        // The owner, which the house does not have.
        static IEnumerable<string> EntriesIn(JsonElement announced) => announced.GetProperty("data").GetProperty("entries").EnumerateArray().Select(entry =>
            $"{(entry.TryGetProperty("ownerId", out var owner) ? owner.GetString() : "")} {entry.GetProperty("amount").GetString()} {entry.GetProperty("balanceAfter").GetString()}");
    }

    [Fact]
    public async Task Answered_commands_are_published()
    {
        var user = await system.NewUserAsync();
        await using var broker = await Broker.ConnectAsync(await system.BrokerAsync());
        var events = await broker.ListenAsync("transaction.#");

        var deposit = (await user.DepositAsync("1.00")).MustBe(201).TransactionId;

        await Eventually.TrueAsync(() => Task.FromResult(EventsIn(events).Any(item => item.GetProperty("id").GetGuid() == deposit)));
    }

    [Fact]
    public async Task Full_queue_of_a_subscriber_delays_no_command()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 1);
        await using var broker = await Broker.ConnectAsync(await system.BrokerAsync());
        var full = await broker.BindQueueOfOneAsync($"transaction.posted.{market.Currency}");
        var events = await broker.ListenAsync($"transaction.posted.{market.Currency}");
        Command[] deposits = [market.Deposit(market.Users[0], 100), market.Deposit(market.Users[0], 200), market.Deposit(market.Users[0], 300)];

        foreach (var deposit in deposits)
        {
            await broker.PublishAsync(deposit);
            await Eventually.TrueAsync(() => Task.FromResult(EventsIn(events).Any(item => item.GetProperty("id").GetGuid() == deposit.Id)));
        }

        // Once each: nothing came back to the worker because one queue said no.
        Assert.Equal(deposits.Select(deposit => deposit.Id), EventsIn(events).Select(item => item.GetProperty("id").GetGuid()));
        Assert.Equal(600, await market.BalanceAsync(market.Users[0]));
        Assert.Equal(1u, await broker.WaitingAsync(full));
        // By whichever worker answers: behind one address there may be several.
        await Eventually.TrueAsync(async () =>
        {
            foreach (var metrics in await system.MetricsAsync())
            {
                if ((await Scrape.OfAsync(metrics))["ledger_events_refused_total"] > 0)
                    return true;
            }
            return false;
        });
    }

    private static IEnumerable<JsonElement> EventsIn(ConcurrentQueue<Message> messages) => messages.SelectMany(message => JsonElement.Parse(message.Text).EnumerateArray());

    private static IEnumerable<(Guid, string?, string?)> EntriesOf(JsonElement announced) => announced.GetProperty("data").GetProperty("entries").EnumerateArray()
        .Select(entry => (entry.GetProperty("ownerId").GetGuid(), entry.GetProperty("amount").GetString(), entry.GetProperty("balanceAfter").GetString()));
}
