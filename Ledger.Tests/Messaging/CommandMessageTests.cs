using System.Text;
using System.Text.Json;
using Ledger.Core.Currencies;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Ledger.Worker.Posting;
using RabbitMQ.Client;

namespace Ledger.Tests.Messaging;

/// <summary>What the worker does with messages, whoever sent them: one bad command fails none of its neighbours.</summary>
public sealed class CommandMessageTests(LedgerSystem system)
{
    [Fact]
    public async Task Envelope_delivered_three_times_is_posted_once()
    {
        var market = await MarketAsync();
        await using var broker = await Broker.ConnectAsync(await system.BrokerAsync());
        var commands = market.Users.Select(user => market.Deposit(user, 100)).ToArray();

        for (var i = 0; i < 3; i++)
            await broker.PublishAsync(commands);
        // Behind the three in the same queue: when it is posted, they have been dealt with or are in the same batches.
        await PostedAsync(market, commands);
        await broker.PublishAsync(market.Deposit(market.Users[0], 1));

        await Eventually.TrueAsync(async () => await market.BalanceAsync(market.Users[0]) == 101);
        Assert.Equal(commands.Length + 1, await market.CountAsync("posted"));
        Assert.Equal(100, await market.BalanceAsync(market.Users[1]));
    }

    [Theory]
    [InlineData("a reference that no text column takes")]
    [InlineData("an amount of zero")]
    [InlineData("an amount beyond the limit")]
    [InlineData("metadata that is no JSON")]
    public async Task Command_that_cannot_be_posted_becomes_a_dead_letter_and_its_neighbours_are_posted(string fault)
    {
        var market = await MarketAsync();
        await using var broker = await Broker.ConnectAsync(await system.BrokerAsync());
        var deadLetters = await broker.DeadLettersAsync();
        var good = Enumerable.Range(0, 9).Select(i => market.Deposit(market.Users[i % market.Users.Count], 100)).ToList();
        var proper = market.Deposit(market.Users[0], 100);
        var bad = fault switch
        {
            "a reference that no text column takes" => proper with { Reference = "a\0b" },
            "an amount of zero" => proper with { Amount = proper.Amount with { MinorUnits = 0 } },
            "an amount beyond the limit" => proper with { Amount = proper.Amount with { MinorUnits = long.MaxValue } },
            "metadata that is no JSON" => proper with { Metadata = "{" },
            _ => throw new ArgumentOutOfRangeException(nameof(fault)),
        };

        await broker.PublishAsync([.. good.Take(4), bad, .. good.Skip(4)]);

        await PostedAsync(market, good);
        Message? dead = null;
        await Eventually.TrueAsync(
            () => Task.FromResult((dead = deadLetters.FirstOrDefault(message => message.Text.Contains(bad.Id.ToString(), StringComparison.Ordinal))) is not null),
            otherwise: () => "The bad command is not among the dead letters.");
        Assert.False(string.IsNullOrEmpty(dead!.Reason));
        // As it came, so that an operator can mend it and send it again.
        Assert.Equivalent(bad, Assert.Single(JsonSerializer.Deserialize(dead.Body, MessageJson.Default.Envelope)!.Commands));
        Assert.Equal(good.Count, await market.CountAsync("posted"));
        Assert.Equal(good.Count * 100, -await market.SettlementAsync());
    }

    [Fact]
    public async Task Unreadable_command_becomes_a_dead_letter_and_its_neighbours_are_posted()
    {
        var market = await MarketAsync();
        await using var broker = await Broker.ConnectAsync(await system.BrokerAsync());
        var deadLetters = await broker.DeadLettersAsync();
        var good = market.Deposit(market.Users[0], 100);
        var unreadable = Guid.CreateVersion7();
        var envelope = JsonSerializer.Serialize(new Envelope([good, market.Deposit(market.Users[1], 777) with { Id = unreadable }]), MessageJson.Default.Envelope);

        await broker.PublishAsync(Encoding.UTF8.GetBytes(envelope.Replace("\"minorUnits\":777", "\"minorUnits\":\"much\"", StringComparison.Ordinal)));

        await PostedAsync(market, [good]);
        await Eventually.TrueAsync(() => Task.FromResult(deadLetters.Any(message => message.Text.Contains(unreadable.ToString(), StringComparison.Ordinal))));
        Assert.DoesNotContain(deadLetters, message => message.Text.Contains(good.Id.ToString(), StringComparison.Ordinal));
    }

    // As an API of a later version may send it, while workers of this one still run.
    [Theory]
    [InlineData("\"deposit\"", "\"gift\"", "gift")]
    [InlineData("\"version\":1", "\"version\":2", "deposit")]
    public async Task A_command_of_an_unknown_kind_or_version_waits_for_a_worker_that_knows_it_and_its_neighbours_are_posted(string known, string later, string kind)
    {
        var user = await system.NewUserAsync();
        var market = await MarketAsync();
        await using var broker = await Broker.ConnectAsync(await system.BrokerAsync());
        var deadLetters = await broker.DeadLettersAsync();
        var good = market.Deposit(market.Users[0], 100);
        var unknown = (market with { Currency = "USD" }).Deposit(user.Id, 100);
        var envelope = JsonSerializer.Serialize(new Envelope([unknown]), MessageJson.Default.Envelope);

        await broker.PublishAsync(Encoding.UTF8.GetBytes(envelope.Replace(known, later, StringComparison.Ordinal)));
        await broker.PublishAsync(good);

        await PostedAsync(market, [good]);
        await Eventually.TrueAsync(async () => await Books.NumberAsync(market.Database, "select count(*) from ledger.pending_commands where id = $1 and failure is null", unknown.Id) == 1);
        // Its owner sees it as it is, and everything else.
        Assert.Equal("pending", (await user.TransactionAsync(unknown.Id)).MustBe(200).TransactionStatus);
        Assert.Contains($"\"kind\":\"{kind}\"", (await user.GetAsync("transactions")).MustBe(200).Text, StringComparison.Ordinal);
        Assert.DoesNotContain(deadLetters, message => message.Text.Contains(unknown.Id.ToString(), StringComparison.Ordinal));
        // The relays of these workers leave it alone; one that knows it finds the whole command.
        Assert.Equal(0, await Books.NumberAsync(market.Database, "select relays::bigint from ledger.pending_commands where id = $1", unknown.Id));
        Assert.Equal(1, await Books.ExecuteAsync(market.Database, "delete from ledger.pending_commands where id = $1 and command ->> 'ownerId' = $2", unknown.Id, user.Id.ToString()));
    }

    [Fact]
    public async Task Stored_transaction_of_an_unknown_kind_is_listed()
    {
        var user = await system.NewUserAsync();
        var database = await system.DatabaseAsync();
        var time = new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        var gift = new Transaction
        {
            Id = Guid.CreateVersion7(),
            Kind = "gift",
            Status = TransactionStatus.Rejected,
            PrincipalId = user.Id,
            OwnerId = user.Id,
            Amount = new Money(100, "LATER"),
            CreatedAt = time,
            DecidedAt = time,
            Rejection = new Rejection("unwelcome"),
        };
        // As a migration of a later version does.
        await Books.ExecuteAsync(database, """
            do $$ begin
                execute (
                    select format('alter table ledger.transactions drop constraint transactions_kind, add constraint transactions_kind check (%s or kind = ''gift'') not valid',
                        pg_get_expr(conbin, conrelid))
                    from pg_constraint where conname = 'transactions_kind' and conrelid = 'ledger.transactions'::regclass);
            end $$
            """);
        await Books.ExecuteAsync(database, """
            insert into ledger.transactions (id, kind, status, principal_id, owner_id, account_ids, currency, amount, created_at, decided_at, rejection, digest)
            values ($1, 'gift', 'rejected', $2, $2, '{}', 'LATER', 100, $3, $3, 'unwelcome', $4)
            """, gift.Id, user.Id, time, TransactionDigest.Of(gift));

        var shown = (await user.GetAsync("transactions")).MustBe(200).Text;
        Assert.Contains("\"kind\":\"gift\"", shown, StringComparison.Ordinal);
        Assert.Contains("\"code\":\"unwelcome\"", shown, StringComparison.Ordinal);
        (await user.TransactionAsync(gift.Id)).MustBe(200);
    }

    [Theory]
    [InlineData(false, 7, null, 1)]
    [InlineData(true, 7, null, 8)]
    // RabbitMQ 4 counts a lost connection here.
    [InlineData(true, null, 7, 8)]
    [InlineData(true, 3, 7, 8)]
    [InlineData(true, null, null, 1)]
    public void Deliveries_are_counted_by_the_headers_of_RabbitMQ_3_and_4(bool isRedelivered, int? delivered, int? acquired, long number)
    {
        var headers = new Dictionary<string, object?>();
        if (delivered is { } count)
            headers["x-delivery-count"] = (long)count;
        if (acquired is { } times)
            headers["x-acquired-count"] = times;

        Assert.Equal(number, CommandConsumer.NumberOf(isRedelivered, headers));
    }

    [Theory]
    [InlineData("")]
    [InlineData("not JSON, and not the only one: ")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{\"commands\":null}")]
    [InlineData("{\"commands\":[null]}")]
    [InlineData("{\"commands\":[{}]}")]
    public async Task Message_that_is_not_an_envelope_becomes_a_dead_letter_and_later_messages_are_posted(string text)
    {
        var market = await MarketAsync();
        await using var broker = await Broker.ConnectAsync(await system.BrokerAsync());
        var deadLetters = await broker.DeadLettersAsync();
        var good = market.Deposit(market.Users[0], 100);

        await broker.PublishAsync(Encoding.UTF8.GetBytes(text));
        await broker.PublishAsync(good);

        await PostedAsync(market, [good]);
        await Eventually.TrueAsync(() => Task.FromResult(deadLetters.Any(message => message.Text == text && !string.IsNullOrEmpty(message.Reason))));
    }

    [Theory]
    [InlineData("many")]
    [InlineData(true)]
    [InlineData(null)]
    public async Task Delivery_count_of_the_sender_is_ignored(object? count)
    {
        var market = await MarketAsync();
        await using var broker = await Broker.ConnectAsync(await system.BrokerAsync());
        var first = market.Deposit(market.Users[0], 100);
        var second = market.Deposit(market.Users[0], 200);

        await broker.PublishAsync(
            JsonSerializer.SerializeToUtf8Bytes(new Envelope([first]), MessageJson.Default.Envelope), new Dictionary<string, object?> { ["x-delivery-count"] = count });
        await broker.PublishAsync(second);

        await PostedAsync(market, [first, second]);
    }

    [Fact]
    public async Task Dead_letter_is_kept_after_many_reads()
    {
        await using var connection = await new ConnectionFactory { Uri = await system.BrokerAsync() }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync(
            new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true));
        var letter = Guid.NewGuid().ToByteArray();
        await channel.BasicPublishAsync("", Topology.DeadLetterQueue, mandatory: true, new BasicProperties { DeliveryMode = DeliveryModes.Persistent }, letter);

        // One look more than RabbitMQ 4 allows by itself, and then some.
        for (var look = 1; look <= 25; look++)
        {
            // What was given back is there again a moment later.
            await Eventually.TrueAsync(LookAtAllAsync, otherwise: () => $"Gone at look {look}.");
        }

        async Task<bool> LookAtAllAsync()
        {
            var (isThere, last) = (false, 0ul);
            while (await channel.BasicGetAsync(Topology.DeadLetterQueue, autoAck: false) is { } message)
            {
                isThere |= message.Body.Span.SequenceEqual(letter);
                last = message.DeliveryTag;
            }
            if (last > 0)
                await channel.BasicNackAsync(last, multiple: true, requeue: true);
            return isThere;
        }
    }

    [Fact]
    public async Task Many_pending_commands_with_the_longest_text_are_relayed_posted_and_published()
    {
        var market = await MarketAsync();
        await using var broker = await Broker.ConnectAsync(await system.BrokerAsync());
        var events = await broker.ListenAsync($"transaction.posted.{market.Currency}");
        // 50 values of 500 characters that JSON escapes. All together are more than twice what RabbitMQ takes as one message.
        var metadata = JsonSerializer.Serialize(Enumerable.Range(0, 50).ToDictionary(i => $"{i:00}".PadRight(40, '€'), _ => new string('€', 500)));
        var commands = Enumerable.Range(0, 250).Select(i => market.Deposit(market.Users[i % market.Users.Count], 100) with { Metadata = metadata }).ToArray();

        await PendingCommands.ParkAsync(market.Database, commands.Select(StoredCommand.Of), TimeSpan.Zero, TestContext.Current.CancellationToken);

        await PostedAsync(market, commands);
        await Eventually.TrueAsync(
            () => Task.FromResult(events.Sum(message => JsonElement.Parse(message.Text).GetArrayLength()) >= commands.Length),
            otherwise: () => "Not all transactions were announced.");
        Assert.True(events.Sum(message => message.Body.Length) > 2 * 16 * 1024 * 1024);
        Assert.All(events, message => Assert.True(message.Body.Length < 2 * TransactionEvents.MaxBytes));
        Assert.Equal(0, await Books.NumberAsync(market.Database, "select count(*) from ledger.pending_commands where id = any ($1)", commands.Select(command => command.Id).ToArray()));
    }

    private async Task<Market> MarketAsync() => await Market.OpenAsync(await system.DatabaseAsync(), users: 3);

    private static Task PostedAsync(Market market, IEnumerable<Command> commands)
    {
        var ids = commands.Select(command => command.Id).ToArray();
        return Eventually.TrueAsync(
            async () => await Books.NumberAsync(market.Database, "select count(*) from ledger.transactions where id = any ($1) and status = 'posted'", ids) == ids.Length,
            otherwise: () => "Not all good commands were posted.");
    }
}
