using System.Text;
using System.Text.Json;
using Ledger.Core.Currencies;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using Ledger.ServiceDefaults;
using Ledger.Worker.Posting;
using Microsoft.Extensions.Options;
using Npgsql;
using RabbitMQ.Client;

namespace Ledger.Worker.Backlog;

/// <summary>
/// Publishes pending commands that the queue has not received, because RabbitMQ was unavailable when the API answered 202, and again
/// those that the queue may have lost. A command that is published twice is posted once, but adds to the backlog: the relay waits
/// while there is one. It also ends failed commands whose time is over.
/// </summary>
internal sealed partial class PendingRelay(
    BrokerConnection broker, NpgsqlDataSource database, CommandConsumer consumer, CurrencyCatalog catalog, EventPublisher events, TimeProvider clock, IOptions<WorkerOptions> options,
    ILogger<PendingRelay> logger) : PeriodicService("Relaying pending commands", TimeSpan.FromSeconds(options.Value.RelaySeconds), clock, logger)
{
    // A message that is not answered by then shows that posting is held up, here or in the other workers too.
    private static readonly TimeSpan MaxStall = TimeSpan.FromSeconds(1);

    protected override async Task RunAsync(CancellationToken stoppingToken)
    {
        await EndFailedAsync(stoppingToken);
        while (await RelayAsync(stoppingToken))
        {
        }
    }

    private async Task EndFailedAsync(CancellationToken cancellationToken)
    {
        // While RabbitMQ is away, the events could not be published; the commands end when it is back.
        int ended;
        do
        {
            if (broker.Ready is not { } connection)
                return;
            ended = await FailedCommands.EndAsync(database, options.Value.RelayBatch, AnnounceAsync, cancellationToken);
            if (ended > 0)
                LogEnded(ended);

            async Task AnnounceAsync(IReadOnlyList<Transaction> failed)
            {
                await using var channel = await ChannelAsync(connection, cancellationToken);
                var currencies = await catalog.GetAsync(failed.Select(transaction => transaction.Currency), cancellationToken);
                await BrokerConnection.InTimeAsync(connection, events.PublishAsync(failed, currencies, channel, cancellationToken), cancellationToken);
                PostingMetrics.CountFailed(failed);
            }
        }
        while (ended == options.Value.RelayBatch);
    }

    private static Task<IChannel> ChannelAsync(IConnection connection, CancellationToken cancellationToken) =>
        BrokerConnection.InTimeAsync(connection, connection.CreateChannelAsync(
            new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true), cancellationToken), cancellationToken);

    /// <summary>Publishes due commands, up to a bound. Returns whether there may be more.</summary>
    private async Task<bool> RelayAsync(CancellationToken cancellationToken)
    {
        if (broker.Ready is not { } connection || consumer.Stalled > MaxStall || !await PendingCommands.IsAnyDueAsync(database, cancellationToken))
            return false;

        await using var channel = await ChannelAsync(connection, cancellationToken);
        if (await BrokerConnection.InTimeAsync(connection, channel.MessageCountAsync(Topology.CommandQueue, cancellationToken), cancellationToken)
            > options.Value.RelayQueueDepth)
            return false;

        var (commands, unreadable) = await PendingCommands.TakeDueAsync(
            database, options.Value.RelayBatch, TimeSpan.FromSeconds(options.Value.RelayAgainSeconds), cancellationToken);
        if (commands.Count + unreadable.Count == 0)
            return false;

        var unpublished = commands.Select(due => due.Command.Id).ToHashSet();
        try
        {
            var properties = new BasicProperties
            {
                DeliveryMode = DeliveryModes.Persistent,
                ContentType = "application/json",
                Headers = new Dictionary<string, object?> { [Topology.RelayedHeader] = true },
            };
            foreach (var waiting in commands.GroupBy(due => due.ReplyTo, due => due.Command))
            {
                properties.ReplyTo = waiting.Key;
                foreach (var envelope in Envelope.Split(waiting))
                {
                    var body = JsonSerializer.SerializeToUtf8Bytes(envelope, MessageJson.Default.Envelope);
                    await broker.PublishCommandsAsync(channel, properties, body, cancellationToken);
                    unpublished.ExceptWith(envelope.Commands.Select(command => command.Id));
                }
            }
            foreach (var command in unreadable)
                await SetAsideAsync(command, channel, cancellationToken);
        }
        catch
        {
            // A command that was marked as failed is not due.
            await PendingCommands.ReturnAsync(
                database, [.. unpublished, .. unreadable.Select(command => command.Id)], CancellationToken.None);
            throw;
        }
        if (commands.Count > 0)
            LogRelayed(commands.Count);
        return commands.Count + unreadable.Count == options.Value.RelayBatch;
    }

    // The dead letter comes before the mark: a worker that dies in between sends it again.
    private async Task SetAsideAsync(StoredCommand command, IChannel channel, CancellationToken cancellationToken)
    {
        const string Reason = "The pending command cannot be read.";
        await BatchAnswerer.DeadLetterAsync(channel, Encoding.UTF8.GetBytes($$"""{"commands":[{{command.Text}}]}"""), Reason, cancellationToken);
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await FailedCommands.MarkAsync(connection, command.Id, Reason, TimeSpan.FromHours(options.Value.FailedHours), cancellationToken);
        PostingMetrics.CountDeadLetter();
        LogUnreadable(command.Id);
    }

    [LoggerMessage(LogLevel.Error, "Pending command {Id} cannot be read; it is in the dead letters and waits for an operator")]
    private partial void LogUnreadable(Guid id);

    [LoggerMessage(LogLevel.Information, "Published {Count} pending commands")]
    private partial void LogRelayed(int count);

    [LoggerMessage(LogLevel.Warning, "{Count} commands ended as failed, because no operator retried them in time")]
    private partial void LogEnded(int count);
}
