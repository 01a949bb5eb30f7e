using System.Data;
using System.Diagnostics;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.ServiceDefaults;
using Npgsql;

namespace Ledger.Worker.Posting;

/// <summary>What became of a command: decided, or impossible to post, with the reason.</summary>
public readonly record struct PostingResult(Command Command, Decision? Decision, string? Failure);

/// <summary>
/// Brings batches through the engine, come what may: waits while the database is away, tries again where another worker was
/// faster, and halves a batch that cannot be written until the one command that spoils it stands alone.
/// </summary>
public sealed partial class BatchPoster(NpgsqlDataSource database, ILogger<BatchPoster> logger) : IAsyncDisposable
{
    private const int MaxRaces = 10;

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
        await PostAsync(commands, results, cancellationToken);
        return results;
    }

    /// <summary>
    /// Posts a command that may have brought workers down. One that was begun so often, and never ended, is not tried any more:
    /// a failure, unless it was decided after all.
    /// </summary>
    public async Task<PostingResult> PostAloneAsync(Command command, int maxAttempts, CancellationToken cancellationToken)
    {
        if (await AskAsync(connection => Attempts.BeginAsync(connection, command.Id, cancellationToken), cancellationToken) > maxAttempts)
        {
            return await AskAsync(connection => TransactionReader.LoadAsync(connection, [command.Id], cancellationToken), cancellationToken) is [var known]
                ? new PostingResult(command, new Decision(command, DecisionKind.Known, known.Id, known), null)
                : new PostingResult(command, null, $"Tried {maxAttempts} times alone, and never decided.");
        }
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

    private async Task PostAsync(ReadOnlyMemory<Command> commands, Memory<PostingResult> results, CancellationToken cancellationToken)
    {
        if (commands.IsEmpty)
            return;

        try
        {
            var decisions = await AskAsync(connection => PostAsync(connection, commands, cancellationToken), cancellationToken);
            for (var i = 0; i < decisions.Count; i++)
                results.Span[i] = new PostingResult(decisions[i].Command, decisions[i], null);
            return;
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            if (commands.Length == 1)
            {
                LogImpossible(e, commands.Span[0].Id);
                results.Span[0] = new PostingResult(commands.Span[0], null, e.Message);
                return;
            }
            LogHalving(commands.Length, e.Message);
        }

        var half = commands.Length / 2;
        await PostAsync(commands[..half], results[..half], cancellationToken);
        await PostAsync(commands[half..], results[half..], cancellationToken);
    }

    private async Task<IReadOnlyList<Decision>> PostAsync(NpgsqlConnection connection, ReadOnlyMemory<Command> commands, CancellationToken cancellationToken)
    {
        var start = Stopwatch.GetTimestamp();
        var decisions = await _engine.PostAsync(connection, commands.ToArray(), cancellationToken);
        PostingMetrics.CommitDuration.Record(Stopwatch.GetElapsedTime(start).TotalSeconds);
        PostingMetrics.BatchSize.Record(commands.Length);
        return decisions;
    }

    // Asks the database until it answers. Throws what is no fault of the database, and no other worker's doing either.
    private async Task<T> AskAsync<T>(Func<NpgsqlConnection, Task<T>> ask, CancellationToken cancellationToken)
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
                if (IsRace(e) && ++races < MaxRaces)
                    continue;
                if (!isLost && !IsAway(e))
                    throw;
                if (_failures.IsDue(Connections.ReasonOf(e)))
                    LogAway(Connections.ReasonOf(e));
            }
            await Task.Delay(pause, cancellationToken);
            pause = pause * 2 < MaxPause ? pause * 2 : MaxPause;
        }
    }

    // Another worker opened the same account, or took the same key, between this one's look and its write; or PostgreSQL
    // broke a deadlock; or a migration changed a table under a statement that had its plan. The next look sees what the other has written.
    private static bool IsRace(Exception e) => e is PostgresException
    {
        SqlState: PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.SerializationFailure
            or PostgresErrorCodes.FeatureNotSupported or PostgresErrorCodes.InvalidSqlStatementName
    };

    /// <summary>Whether the fault is not in the commands: no server, one that starts or stops, one that is out of something, one that only reads.</summary>
    internal static bool IsAway(Exception e) => e switch
    {
        PostgresException p => p.IsTransient || p.SqlState[..2] is "08" or "53" or "57" or "58" or "25" or "28" or "3D" or "42",
        NpgsqlException or TimeoutException or IOException or System.Net.Sockets.SocketException => true,
        _ => false,
    };

    // Beside the pool, where everybody else asks other things of the planner; with the role and all else that its connections have.
    private async Task<NpgsqlConnection> OpenAsync(CancellationToken cancellationToken)
    {
        var settings = new NpgsqlConnectionStringBuilder(database.ConnectionString) { Pooling = false };
        settings.Options = $"{settings.Options} {Settings}".TrimStart();
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
}
