using System.Data;
using System.Diagnostics;
using System.Globalization;
using Ledger.Core.Persistence;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Worker.Posting;

/// <summary>What became of a command.</summary>
/// <param name="Decision">Null if it is not decided: it is pending, and the relay brings it again, or it could not even be recorded as failed.</param>
/// <param name="Failure">Why it cannot be posted; null if it can.</param>
public readonly record struct PostingResult(Command Command, Decision? Decision, string? Failure);

/// <summary>
/// Brings batches through the engine: waits while the database is away, tries again where another worker was faster, and halves
/// a batch that cannot be written until the one command that spoils it stands alone. That one is recorded as failed or, if it
/// only waits for a lock, as pending for the relay.
/// </summary>
public sealed partial class BatchPoster(NpgsqlDataSource database, IOptions<WorkerOptions> options, ILogger<BatchPoster> logger) : IAsyncDisposable
{
    private const int MaxRaces = 10;

    private const int LockTimeoutOfHalves = 50;

    // Every statement of a batch looks up as many rows as the batch has commands, by index, however large the tables are. The
    // planner sees tables that were empty when it was asked, and would read them from end to end until somebody analyzes them. One
    // plan serves all batches; asked again for each, as it is where it thinks that worthwhile, it takes longer than some statements.
    // The server looks each second whether its client still lives: a batch waits for locks with its commit right behind it, and what
    // nobody waits for any more may have been given up.
    private const string Settings = "-c client_connection_check_interval=1000 -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off -c plan_cache_mode=force_generic_plan";

    private static readonly TimeSpan MaxPause = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan PatienceWhileStopping = TimeSpan.FromSeconds(1);

    private readonly PostingEngine _engine = new();
    private readonly OnceAMinute _failures = new(TimeProvider.System);
    private NpgsqlConnection? _connection;

    /// <summary>The results, in the order of the commands. Throws only if cancelled; then nothing more was written.</summary>
    public async Task<PostingResult[]> PostAsync(ReadOnlyMemory<Command> commands, CancellationToken cancellationToken)
    {
        var results = new PostingResult[commands.Length];
        await PostAsync(commands, results, isHalf: false, cancellationToken);
        return results;
    }

    /// <summary>
    /// Posts a command that may have brought workers down. One that was begun so often, and never ended, is not tried any more:
    /// a failure, unless it was decided after all.
    /// </summary>
    public async Task<PostingResult> PostAloneAsync(Command command, int maxAttempts, CancellationToken cancellationToken)
    {
        if (await AskAsync(connection => Attempts.BeginAsync(connection, command.Id, cancellationToken), cancellationToken) > maxAttempts)
            return await FailAsync(command, $"Tried {maxAttempts} times alone, and never decided.", cancellationToken);
        try
        {
            var results = await PostAsync(new[] { command }, cancellationToken);
            await AskAsync(connection => Attempts.EndAsync(connection, command.Id, cancellationToken), cancellationToken);
            return results[0];
        }
        catch when (cancellationToken.IsCancellationRequested)
        {
            await TakeBackAsync(command.Id);
            throw;
        }
    }

    // A planned stop, or a channel that was lost, is no fault of the command: a few of them while PostgreSQL hangs must not make a
    // dead letter of it. Where PostgreSQL does not answer now either, the try counts.
    private async Task TakeBackAsync(Guid command)
    {
        using var patience = new CancellationTokenSource(PatienceWhileStopping);
        try
        {
            // It may be in the middle of what was cancelled.
            await CloseAsync();
            await AskAsync(connection => Attempts.TakeBackAsync(connection, command, patience.Token), patience.Token);
        }
        catch (Exception e)
        {
            LogNotTakenBack(command, e.Message);
        }
    }

    private async Task PostAsync(ReadOnlyMemory<Command> commands, Memory<PostingResult> results, bool isHalf, CancellationToken cancellationToken)
    {
        if (commands.IsEmpty)
            return;

        try
        {
            var decisions = await AskAsync(connection => PostAsync(connection, commands, isHalf, cancellationToken), cancellationToken, isPosting: true);
            for (var i = 0; i < decisions.Count; i++)
                results.Span[i] = new PostingResult(decisions[i].Command, decisions[i], null);
            return;
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            if (commands.Length == 1)
            {
                var result = await GiveUpAsync(commands.Span[0], e, cancellationToken);
                results.Span[0] = result;
                return;
            }
            LogHalving(commands.Length, e.Message);
        }

        var half = commands.Length / 2;
        await PostAsync(commands[..half], results[..half], isHalf: true, cancellationToken);
        await PostAsync(commands[half..], results[half..], isHalf: true, cancellationToken);
    }

    private async Task<PostingResult> GiveUpAsync(Command command, Exception reason, CancellationToken cancellationToken)
    {
        if (DatabaseFaults.Of(reason) == DatabaseFault.Busy)
        {
            LogDeferred(command.Id, reason.Message);
            return await DeferAsync(command, cancellationToken);
        }
        LogImpossible(reason, command.Id);
        return await FailAsync(command, reason.Message, cancellationToken);
    }

    // To the relay, which brings it again when it is due: nothing waits for it here.
    private async Task<PostingResult> DeferAsync(Command command, CancellationToken cancellationToken)
    {
        var dueIn = TimeSpan.FromSeconds(options.Value.LockSeconds);
        await AskAsync(
            async _ =>
            {
                await PendingCommands.ParkAsync(database, [StoredCommand.Of(command)], dueIn, cancellationToken);
                return true;
            },
            cancellationToken);
        return new PostingResult(command, null, null);
    }

    private async Task<PostingResult> FailAsync(Command command, string reason, CancellationToken cancellationToken)
    {
        try
        {
            var stored = await AskAsync(
                connection => FailedCommands.RecordAsync(connection, command, reason, TimeSpan.FromHours(options.Value.FailedHours), cancellationToken), cancellationToken);
            return stored switch
            {
                null => new PostingResult(command, new Decision(command, DecisionKind.AwaitsOperator, command.Id, null), reason),
                { Status: TransactionStatus.Failed } => new PostingResult(command, new Decision(command, DecisionKind.Decided, command.Id, stored), reason),
                _ => new PostingResult(command, new Decision(command, DecisionKind.Known, command.Id, stored), null),
            };
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            LogNotRecorded(e, command.Id);
            return new PostingResult(command, null, reason);
        }
    }

    private async Task<IReadOnlyList<Decision>> PostAsync(
        NpgsqlConnection connection, ReadOnlyMemory<Command> commands, bool isHalf, CancellationToken cancellationToken)
    {
        var start = Stopwatch.GetTimestamp();
        // The whole batch has waited already: who waits for a lock is found quickly.
        if (isHalf)
            await ExecuteAsync(connection, string.Create(CultureInfo.InvariantCulture, $"set lock_timeout = {LockTimeoutOfHalves}"), cancellationToken);
        var decisions = await _engine.PostAsync(connection, commands.ToArray(), cancellationToken);
        if (isHalf)
            await ExecuteAsync(connection, "reset lock_timeout", cancellationToken);
        PostingMetrics.CommitDuration.Record(Stopwatch.GetElapsedTime(start).TotalSeconds);
        PostingMetrics.BatchSize.Record(commands.Length);
        return decisions;
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    // Asks the database until it answers. Throws what is no fault of the database, and no other worker's doing either.
    // A batch that waits for a lock is taken in halves; everything else asks again.
    private async Task<T> AskAsync<T>(Func<NpgsqlConnection, Task<T>> ask, CancellationToken cancellationToken, bool isPosting = false)
    {
        var pause = TimeSpan.FromMilliseconds(50);
        for (var races = 0; ;)
        {
            try
            {
                if (_connection is { FullState: not ConnectionState.Open })
                    await CloseAsync();
                _connection ??= await OpenAsync(cancellationToken);
                return await ask(_connection);
            }
            catch (Exception e) when (!cancellationToken.IsCancellationRequested)
            {
                // A connection that was never opened, or broke while nobody used it, says so with exceptions of all kinds.
                var isLost = _connection is not { FullState: ConnectionState.Open };
                await CloseAsync();
                var fault = DatabaseFaults.Of(e);
                if (fault == DatabaseFault.Race && ++races < MaxRaces)
                    continue;
                if (!isLost && fault != DatabaseFault.Away && (fault != DatabaseFault.Busy || isPosting))
                    throw;
                if (_failures.IsDue(Connections.ReasonOf(e)))
                    LogAway(Connections.ReasonOf(e));
            }
            await Task.Delay(pause, cancellationToken);
            pause = pause * 2 < MaxPause ? pause * 2 : MaxPause;
        }
    }

    // Beside the pool, where everybody else asks other things of the planner; with the role and all else that its connections have.
    private async Task<NpgsqlConnection> OpenAsync(CancellationToken cancellationToken)
    {
        var settings = new NpgsqlConnectionStringBuilder(database.ConnectionString) { Pooling = false };
        var lockTimeout = string.Create(CultureInfo.InvariantCulture, $"-c lock_timeout={options.Value.LockSeconds * 1000:0}");
        settings.Options = $"{settings.Options} {lockTimeout} {Settings}".TrimStart();
        // The data source tells nobody its password, but a clone of its connections has it.
        await using var pooled = database.CreateConnection();
        var connection = pooled.CloneWith(settings.ConnectionString);
        try
        {
            await connection.OpenAsync(cancellationToken);
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    private async Task CloseAsync()
    {
        if (_connection is { } connection)
        {
            _connection = null;
            await connection.DisposeAsync();
        }
    }

    public async ValueTask DisposeAsync() => await CloseAsync();

    [LoggerMessage(LogLevel.Warning, "The database does not take a batch now, trying again: {Reason}")]
    private partial void LogAway(string reason);

    [LoggerMessage(LogLevel.Warning, "A batch of {Count} cannot be written, taking it in halves: {Reason}")]
    private partial void LogHalving(int count, string reason);

    [LoggerMessage(LogLevel.Warning, "The try of command {Id} that was cut short counts: {Reason}")]
    private partial void LogNotTakenBack(Guid id, string reason);

    [LoggerMessage(LogLevel.Error, "Command {Id} cannot be posted")]
    private partial void LogImpossible(Exception exception, Guid id);

    [LoggerMessage(LogLevel.Warning, "Command {Id} waits for a lock, and is left to the relay: {Reason}")]
    private partial void LogDeferred(Guid id, string reason);

    [LoggerMessage(LogLevel.Error, "Command {Id} cannot be posted, and its failure cannot be recorded")]
    private partial void LogNotRecorded(Exception exception, Guid id);
}
