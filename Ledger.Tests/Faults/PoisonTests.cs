using System.Text.Json;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Ledger.Tests.Messaging;
using Ledger.Worker.Posting;
using RabbitMQ.Client;

namespace Ledger.Tests.Faults;

/// <summary>A command that kills its worker becomes a dead letter, and the other commands are posted.</summary>
[Collection(nameof(Faults))]
public sealed class PoisonTests(FaultSystem system)
{
    // PostgreSQL waits in the write of such a command, for as long as the test likes: time to kill the worker.
    private const string Poison = "poison";
    private const long Gate = 4_711;

    [Fact]
    public async Task Command_that_kills_its_worker_becomes_a_dead_letter_and_its_neighbours_are_posted()
    {
        await system.RecoveredAsync();
        var market = await Market.OpenAsync(system.Database, users: 3);
        await using var broker = await Broker.ConnectAsync(new Uri(system.Processes.RabbitMqConnectionString));
        var deadLetters = await broker.DeadLettersAsync();
        var good = Enumerable.Range(0, 30).Select(i => market.Deposit(market.Users[i % 3], 100)).ToArray();
        var bad = Enumerable.Range(0, 2).Select(_ => market.Deposit(market.Users[0], 100) with { Reference = Poison }).ToArray();
        var (victim, spare) = (system.Processes.Workers[0], system.Processes.Workers[1]);
        await Task.WhenAll(victim.KillAsync(restart: false), spare.KillAsync(restart: false));

        await using var gate = await system.Database.OpenConnectionAsync();
        await using (var close = gate.CreateCommand())
        {
            close.CommandText = $"""
                create function ledger.wait_for_test() returns trigger language plpgsql as 'begin perform pg_advisory_xact_lock_shared({Gate}); return new; end';
                create trigger wait_for_test before insert on ledger.transactions for each row when (new.reference = '{Poison}') execute function ledger.wait_for_test();
                select pg_advisory_lock({Gate});
                """;
            await close.ExecuteNonQueryAsync();
        }
        var kills = 0;
        try
        {
            // Neighbours in the same message, before and behind; and in messages before and behind.
            await broker.PublishAsync(good[..5]);
            await broker.PublishAsync([.. good[5..10], bad[0], .. good[10..15]]);
            await broker.PublishAsync(good[15..20]);
            await broker.PublishAsync([bad[1], .. good[20..25]]);
            await broker.PublishAsync(good[25..]);

            await Eventually.TrueAsync(async () =>
            {
                if (await PostedAsync(good) && DeadIds().SetEquals(bad.Select(command => command.Id)))
                    return true;
                await victim.StartAsync();
                if (await Books.NumberAsync(system.Database, "select count(*) from pg_locks where locktype = 'advisory' and not granted") > 0)
                {
                    await victim.KillAsync(restart: false);
                    kills++;
                    // What PostgreSQL would notice by itself, once it tried to answer.
                    await Books.ExecuteAsync(system.Database, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and not granted");
                }
                return false;
            }, TimeSpan.FromMinutes(3), () => $"After {kills} kills {DeadIds().Count} commands are dead letters.");
        }
        finally
        {
            await using (var open = gate.CreateCommand())
            {
                open.CommandText = $"select pg_advisory_unlock({Gate}); drop trigger wait_for_test on ledger.transactions; drop function ledger.wait_for_test()";
                await open.ExecuteNonQueryAsync();
            }
            await system.RecoveredAsync();
        }

        Assert.True(kills >= 5, $"Only {kills} kills.");
        Assert.Equal(bad.Select(command => command.Id).Order(), DeadIds().Order());
        Assert.All(deadLetters, message => Assert.Equal("The worker did not survive 5 attempts to post this command alone.", message.Reason));
        Assert.Equal(good.Length, await market.CountAsync("posted"));
        Assert.Equal(good.Length * 100, -await market.SettlementAsync());
        // The good ones' tries are forgotten, however often their message came back.
        Assert.Equal(bad.Select(command => command.Id.ToString()).Order(), (await Books.TextsAsync(system.Database, "select command_id::text from ledger.attempts")).Order());
        await Books.ExecuteAsync(system.Database, "delete from ledger.attempts");
        await Books.MustBalanceAsync(system.Database);

        // A dead letter can come twice: its worker may be killed before it says that the message is dealt with.
        HashSet<Guid> DeadIds() =>
            [.. deadLetters.Select(message => Assert.Single(JsonSerializer.Deserialize(message.Body, MessageJson.Default.Envelope)!.Commands).Id)];

        async Task<bool> PostedAsync(Command[] commands) => commands.Length == await Books.NumberAsync(
            system.Database, "select count(*) from ledger.transactions where id = any ($1) and status = 'posted'", commands.Select(command => command.Id).ToArray());
    }

    [Fact]
    public async Task Dead_letter_that_was_read_and_moved_back_is_posted()
    {
        const int Looks = 5;
        await system.RecoveredAsync();
        var market = await Market.OpenAsync(system.Database, users: 1);
        var command = market.Deposit(market.Users[0], 100);
        await using var connection = await new ConnectionFactory { Uri = new Uri(system.Processes.RabbitMqConnectionString) }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync(
            new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true));
        await system.ControlRabbitMqAsync("purge_queue", Topology.DeadLetterQueue);
        await Books.ExecuteAsync(system.Database, "insert into ledger.attempts (command_id, begun) values ($1, 6)", command.Id);
        try
        {
            await BatchAnswerer.DeadLetterAsync(
                channel, JsonSerializer.SerializeToUtf8Bytes(new Envelope([command]), MessageJson.Default.Envelope), "The worker did not survive 5 attempts to post this command alone.", CancellationToken.None);

            // As the management page does: it gives back what it shows, and moves a message with all that RabbitMQ has written on it.
            for (var looks = 0; looks < Looks; looks++)
                await channel.BasicRejectAsync((await TakeAsync()).DeliveryTag, requeue: true);
            var dead = await TakeAsync();
            Assert.Equal(Looks, Convert.ToInt32(dead.BasicProperties.Headers!["x-delivery-count"], System.Globalization.CultureInfo.InvariantCulture));
            await channel.BasicPublishAsync("", Topology.CommandQueue, mandatory: true, new BasicProperties(dead.BasicProperties), dead.Body);
            await channel.BasicAckAsync(dead.DeliveryTag, multiple: false);

            await Eventually.TrueAsync(async () => await market.CountAsync("posted") == 1 || await channel.MessageCountAsync(Topology.DeadLetterQueue) > 0);
            Assert.Equal(1, await market.CountAsync("posted"));
        }
        finally
        {
            await Books.ExecuteAsync(system.Database, "delete from ledger.attempts");
            await system.ControlRabbitMqAsync("purge_queue", Topology.DeadLetterQueue);
        }

        // A message that was given back is there again a moment later.
        async Task<BasicGetResult> TakeAsync()
        {
            BasicGetResult? message = null;
            await Eventually.TrueAsync(async () => (message = await channel.BasicGetAsync(Topology.DeadLetterQueue, autoAck: false)) is not null);
            return message!;
        }
    }

    [Fact]
    public async Task Full_queue_of_dead_letters_stops_no_command_and_loses_nothing()
    {
        const int Bad = 8;
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        await using var broker = await Broker.ConnectAsync(new Uri(system.Processes.RabbitMqConnectionString));
        await system.ControlRabbitMqAsync("purge_queue", Topology.DeadLetterQueue);
        await system.ControlRabbitMqAsync("set_policy", "full", $"^{Topology.DeadLetterQueue}$", """{"max-length":1,"overflow":"reject-publish"}""", "--apply-to", "queues");
        try
        {
            for (var i = 0; i < Bad; i++)
            {
                await broker.PublishAsync("not an envelope"u8.ToArray());
                (await user.DepositAsync("1.00", prefer: "wait=3")).MustBe(201);
            }

            // Some there, the others still in the queue that they came in, for RabbitMQ to move when it can.
            await Eventually.TrueAsync(async () => await CountAsync(Topology.DeadLetterQueue) + await CountAsync(Topology.CommandQueue) == Bad);
            Assert.InRange(await CountAsync(Topology.CommandQueue), 1, Bad - 1);
            Assert.Equal(Bad, await user.BalanceAsync());
        }
        finally
        {
            await system.ControlRabbitMqAsync("clear_policy", "full");
        }

        // RabbitMQ tries again every three minutes, and at its start.
        await system.Processes.RabbitMq.TerminateAsync(restart: false);
        await system.NoticedAsync();
        await system.RecoveredAsync();
        await Eventually.TrueAsync(async () => await CountAsync(Topology.DeadLetterQueue) == Bad && await CountAsync(Topology.CommandQueue) == 0);
        await system.ControlRabbitMqAsync("purge_queue", Topology.DeadLetterQueue);

        // All messages, also those that RabbitMQ has put aside; by AMQP it tells only of those that a consumer could have.
        async Task<int> CountAsync(string queue) => int.Parse(
            (await system.ControlRabbitMqAsync("list_queues", "--quiet", "--no-table-headers", "name", "messages")).Single(line => line.StartsWith($"{queue}\t", StringComparison.Ordinal)).Split('\t')[1],
            System.Globalization.CultureInfo.InvariantCulture);
    }

    [Fact]
    public async Task Commands_are_posted_after_any_number_of_returns_of_their_message()
    {
        await system.RecoveredAsync();
        var market = await Market.OpenAsync(system.Database, users: 1);
        await using var broker = await Broker.ConnectAsync(new Uri(system.Processes.RabbitMqConnectionString));
        var deadLetters = await broker.DeadLettersAsync();
        await Task.WhenAll(system.Processes.Workers.Select(worker => worker.KillAsync(restart: false)));
        var commands = Enumerable.Range(0, 2).Select(_ => market.Deposit(market.Users[0], 100)).ToArray();
        await broker.PublishAsync(commands);

        const long Times = 50;
        await using (var connection = await new ConnectionFactory { Uri = new Uri(system.Processes.RabbitMqConnectionString) }.CreateConnectionAsync())
        await using (var channel = await connection.CreateChannelAsync())
        {
            var (count, looks) = (0L, 0);
            while (count < Times)
            {
                // A message that was given back is there again a moment later.
                if (await channel.BasicGetAsync(Topology.CommandQueue, autoAck: false) is not { } message)
                    continue;
                Assert.True(looks++ <= Times, $"RabbitMQ counted {count} of {looks} deliveries.");
                count = message.BasicProperties.Headers?.TryGetValue("x-delivery-count", out var counted) == true
                    ? Convert.ToInt64(counted, System.Globalization.CultureInfo.InvariantCulture)
                    : 0;
                // Not a nack, which RabbitMQ 4.3 does not count.
                await channel.BasicRejectAsync(message.DeliveryTag, requeue: true);
            }
        }
        await system.RecoveredAsync();

        await Eventually.TrueAsync(async () => await market.BalanceAsync(market.Users[0]) == 200, FaultSystem.Recovery);
        Assert.Empty(deadLetters);
        Assert.Equal(0, await Books.NumberAsync(
            system.Database, "select count(*) from ledger.attempts where command_id = any ($1)", commands.Select(command => command.Id).ToArray()));
    }
}
