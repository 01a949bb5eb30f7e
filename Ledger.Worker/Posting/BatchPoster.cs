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

/// <summary>
/// Runs batches through the engine. It waits while PostgreSQL is unavailable, tries again where another worker was faster, and
/// halves a batch that cannot be written until the failing command is alone. That command is recorded as failed or, if it only
/// waits for a lock, as pending for the relay.
/// </summary>
public sealed partial class BatchPoster(NpgsqlDataSource database, IOptions<WorkerOptions> options, ILogger<BatchPoster> logger) : IAsyncDisposable
{
    private const int MaxRaces = 10;

    private const int LockTimeoutOfHalves = 50;

    // Statistics may date from when the tables were empty, so plans with sequential scans are disabled; each statement looks up its
    // rows by index. One generic plan serves all batches: planning takes longer than some statements. PostgreSQL checks each second
    // that the worker still lives: a batch of a dead worker that waits for a lock would be committed once it has the lock.
    private const string Settings = "-c client_connection_check_interval=1000 -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off -c plan_cache_mode=force_generic_plan";

    private static readonly TimeSpan MaxPause = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan PatienceWhileStopping = TimeSpan.FromSeconds(1);

    private readonly PostingEngine _engine = new();
    private readonly OnceAMinute _failures = new(TimeProvider.System);
    private NpgsqlConnection? _connection;

    /// <summary>Returns the decisions in the order of the commands. It throws only if it is cancelled.</summary>
    public async Task<Decision[]> PostAsync(ReadOnlyMemory<Command> commands, CancellationToken cancellationToken)
    {
        var decisions = new Decision[commands.Length];
        await PostAsync(commands, decisions, isHalf: false, cancellationToken);
        return decisions;
    }

    /// <summary>
    /// Posts a command that may have brought workers down. After <paramref name="maxAttempts"/> attempts that began and never ended,
    /// the command fails, unless an attempt decided it.
    /// </summary>
    public async Task<Decision> PostAloneAsync(Command command, int maxAttempts, CancellationToken cancellationToken)
    {
        if (await AskAsync(connection => Attempts.BeginAsync(connection, command.Id, cancellationToken), cancellationToken) > maxAttempts)
            return await FailAsync(command, $"The worker did not survive {maxAttempts} attempts to post this command alone.", cancellationToken, isPoison: true);
        try
        {
            var decisions = await PostAsync(new[] { command }, cancellationToken);
            await AskAsync(connection => Attempts.EndAsync(connection, command.Id, cancellationToken), cancellationToken);
            return decisions[0];
        }
        catch when (cancellationToken.IsCancellationRequested)
        {
            await TakeBackAsync(command.Id);
            throw;
        }
    }

    // A planned stop or a lost channel is not the command's fault, so the attempt does not count. It counts if PostgreSQL does not
    // answer now either.
    private async Task TakeBackAsync(Guid command)
    {
        using var patience = new CancellationTokenSource(PatienceWhileStopping);
        try
        {
            // The cancelled statement may still run on this connection.
            await CloseAsync();
            await AskAsync(connection => Attempts.TakeBackAsync(connection, command, patience.Token), patience.Token);
        }
        catch (Exception e)
        {
            LogNotTakenBack(command, e.Message);
        }
    }

    private async Task PostAsync(ReadOnlyMemory<Command> commands, Memory<Decision> decided, bool isHalf, CancellationToken cancellationToken)
    {
        if (commands.IsEmpty)
            return;

        try
        {
            var decisions = await AskAsync(connection => PostAsync(connection, commands, isHalf, cancellationToken), cancellationToken, isPosting: true);
            for (var i = 0; i < decisions.Count; i++)
                decided.Span[i] = decisions[i];
            return;
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            if (commands.Length == 1)
            {
                var decision = await GiveUpAsync(commands.Span[0], e, cancellationToken);
                decided.Span[0] = decision;
                return;
            }
            LogHalving(commands.Length, e.Message);
        }

        var half = commands.Length / 2;
        await PostAsync(commands[..half], decided[..half], isHalf: true, cancellationToken);
        await PostAsync(commands[half..], decided[half..], isHalf: true, cancellationToken);
    }

    private async Task<Decision> GiveUpAsync(Command command, Exception reason, CancellationToken cancellationToken)
    {
        if (DatabaseFaults.Of(reason) == DatabaseFault.Busy)
        {
            LogDeferred(command.Id, reason.Message);
            return await DeferAsync(command, cancellationToken);
        }
        LogImpossible(reason, command.Id);
        return await FailAsync(command, reason.Message, cancellationToken);
    }

    // The relay publishes the command again when it is due, so that this worker does not wait for the lock.
    private async Task<Decision> DeferAsync(Command command, CancellationToken cancellationToken)
    {
        var dueIn = TimeSpan.FromSeconds(options.Value.LockSeconds);
        await AskAsync(
            async _ =>
            {
                await PendingCommands.ParkAsync(database, [StoredCommand.Of(command)], dueIn, cancellationToken);
                return true;
            },
            cancellationToken);
        return new Decision(command, DecisionKind.Undecided, command.Id, null);
    }

    private async Task<Decision> FailAsync(Command command, string reason, CancellationToken cancellationToken, bool isPoison = false)
    {
        try
        {
            var stored = await AskAsync(
                connection => FailedCommands.RecordAsync(connection, command, reason, TimeSpan.FromHours(options.Value.FailedHours), isPoison, cancellationToken), cancellationToken);
            return stored switch
            {
                null => new Decision(command, DecisionKind.Undecided, command.Id, null, reason),
                { Status: TransactionStatus.Failed } => new Decision(command, DecisionKind.Decided, command.Id, stored, reason),
                _ => new Decision(command, DecisionKind.Known, command.Id, stored),
            };
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            LogNotRecorded(e, command.Id);
            return new Decision(command, DecisionKind.Undecided, command.Id, null, reason);
        }
    }

    private async Task<IReadOnlyList<Decision>> PostAsync(
        NpgsqlConnection connection, ReadOnlyMemory<Command> commands, bool isHalf, CancellationToken cancellationToken)
    {
        var start = Stopwatch.GetTimestamp();
        // The whole batch has waited already, so that the command that waits for a lock is found quickly.
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

    // Repeats a call while PostgreSQL is unavailable or another worker was faster, and throws every other fault. A batch that waits
    // for a lock is halved by the caller; any other call that waits for a lock is repeated.
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
                // A connection that was not opened, or broke while idle, throws exceptions of many kinds.
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

    // Not from the pool: the planner settings are this connection's only. Role and other settings are those of the pool.
    private async Task<NpgsqlConnection> OpenAsync(CancellationToken cancellationToken)
    {
        var settings = new NpgsqlConnectionStringBuilder(database.ConnectionString) { Pooling = false };
        var lockTimeout = string.Create(CultureInfo.InvariantCulture, $"-c lock_timeout={options.Value.LockSeconds * 1000:0}");
        settings.Options = $"{settings.Options} {lockTimeout} {Settings}".TrimStart();
        // The data source hides its password; a clone of one of its connections has it.
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

    [LoggerMessage(LogLevel.Warning, "PostgreSQL is unavailable; the batch is tried again: {Reason}")]
    private partial void LogAway(string reason);

    [LoggerMessage(LogLevel.Warning, "A batch of {Count} commands cannot be written and is halved: {Reason}")]
    private partial void LogHalving(int count, string reason);

    [LoggerMessage(LogLevel.Warning, "The cancelled attempt to post command {Id} counts, because it could not be taken back: {Reason}")]
    private partial void LogNotTakenBack(Guid id, string reason);

    [LoggerMessage(LogLevel.Error, "Command {Id} cannot be posted")]
    private partial void LogImpossible(Exception exception, Guid id);

    [LoggerMessage(LogLevel.Warning, "Command {Id} waits for a lock and is left to the relay: {Reason}")]
    private partial void LogDeferred(Guid id, string reason);

    [LoggerMessage(LogLevel.Error, "Command {Id} cannot be posted, and the failure cannot be recorded")]
    private partial void LogNotRecorded(Exception exception, Guid id);
}
