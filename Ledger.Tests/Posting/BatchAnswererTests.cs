using Ledger.Core.Currencies;
using Ledger.Tests.Harness;
using Ledger.Tests.Messaging;
using Ledger.Worker.Posting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Npgsql;
using RabbitMQ.Client;

namespace Ledger.Tests.Posting;

/// <summary>What follows a commit, come what may.</summary>
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

        // Away for whom there is no connection: it has one, which somebody else holds.
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
}
