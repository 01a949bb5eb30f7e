using Ledger.Core.Currencies;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Ledger.Tests.Messaging;
using Ledger.Worker.Posting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using Npgsql;
using RabbitMQ.Client;

namespace Ledger.Tests.Posting;

/// <summary>Replies and events after a commit.</summary>
public sealed class BatchAnswererTests(LedgerSystem system)
{
    [Fact]
    public async Task Batch_is_answered_when_PostgreSQL_is_back_after_its_commit()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 1);
        await using var listening = await Broker.ConnectAsync(await system.BrokerAsync());
        var events = await listening.ListenAsync($"transaction.posted.{market.Currency}");
        await using var connection = await new ConnectionFactory { Uri = await system.BrokerAsync() }.CreateConnectionAsync();
        await using var publishing = await connection.CreateChannelAsync(
            new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true));
        await using var replying = await connection.CreateChannelAsync();
        await using var poster = new BatchPoster(market.Database, Options.Create(new WorkerOptions()), NullLogger<BatchPoster>.Instance);
        var batch = await poster.PostAsync(new[] { market.Deposit(market.Users[0], 100) }, CancellationToken.None);

        // Unavailable, because the test holds the only connection of the pool.
        await using var database = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(await system.ConnectionStringAsync()) { MaxPoolSize = 1, Timeout = 1 });
        using var catalog = new CurrencyCatalog(database, TimeProvider.System);
        var log = new RecordedLog();
        Task answering;
        await using (await database.OpenConnectionAsync())
        {
            answering = new BatchAnswerer(database, catalog, new EventPublisher(TimeProvider.System, log.Of<EventPublisher>()), TimeProvider.System, Options.Create(new WorkerOptions()), log.Of<BatchAnswerer>()).AnswerAsync(
                new PostedBatch([], [new(null, batch[0])], null), publishing, replying, CancellationToken.None);
            await Eventually.TrueAsync(() => Task.FromResult(answering.IsCompleted || !log.Lines.IsEmpty));
            Assert.False(answering.IsCompleted, answering.Exception?.Message);
            Assert.StartsWith("PostgreSQL is unavailable", Assert.Single(log.Lines), StringComparison.Ordinal);
        }

        await answering;
        await Eventually.TrueAsync(() => Task.FromResult(!events.IsEmpty));
    }

    // As a reversal of a journal has it: the last posting comes first, and the amount is in the currency of the first one.
    [Fact]
    public async Task Event_has_entries_in_a_currency_that_is_newer_than_the_catalog()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 1);
        using var catalog = new CurrencyCatalog(market.Database, new FakeTimeProvider());
        await catalog.GetAsync(CancellationToken.None);
        var newer = await Market.OpenAsync(market.Database, users: 1);
        await using var listening = await Broker.ConnectAsync(await system.BrokerAsync());
        var events = await listening.ListenAsync($"transaction.posted.{market.Currency}");
        await using var connection = await new ConnectionFactory { Uri = await system.BrokerAsync() }.CreateConnectionAsync();
        await using var publishing = await connection.CreateChannelAsync(
            new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true));
        await using var replying = await connection.CreateChannelAsync();

        var command = market.Deposit(market.Users[0], 100);
        var reversal = Transaction.Pending(command) with
        {
            Status = TransactionStatus.Posted,
            DecidedAt = command.CreatedAt,
            Entries =
            [
                new Entry(Guid.NewGuid(), newer.Users[0], new Money(-5, newer.Currency), 10), new Entry(Guid.NewGuid(), null, new Money(5, newer.Currency), 20),
                new Entry(Guid.NewGuid(), market.Users[0], new Money(-100, market.Currency), 30), new Entry(Guid.NewGuid(), null, new Money(100, market.Currency), 40),
            ],
        };
        await new BatchAnswerer(
            market.Database, catalog, new EventPublisher(TimeProvider.System, NullLogger<EventPublisher>.Instance), TimeProvider.System,
            Options.Create(new WorkerOptions()), NullLogger<BatchAnswerer>.Instance).AnswerAsync(
            new PostedBatch([], [new(null, new Decision(command, DecisionKind.Decided, command.Id, reversal))], null), publishing, replying, CancellationToken.None);

        await Eventually.TrueAsync(() => Task.FromResult(events.Any(message => message.Text.Contains($"\"currency\":\"{newer.Currency}\"", StringComparison.Ordinal))));
    }
}
