using System.Diagnostics;
using Npgsql;

namespace Ledger.Core.Journal;

/// <summary>
/// The time up to which history is final: every transaction that was decided until then is visible. An answer about such a time
/// stays true.
/// </summary>
/// <remarks>
/// A transaction takes its id before it reads its time. This class reads the clock first and takes an id then. Transactions with greater
/// ids have later times; once all transactions with smaller ids have ended, every time before the clock reading is final. The xmax of a
/// snapshot is not such an id: transactions above it may have begun earlier.
/// </remarks>
public sealed class Horizon(NpgsqlDataSource database)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    private long _final;

    /// <summary>Waits until a time is final, for at most <paramref name="patience"/>.</summary>
    public async Task<HorizonResult> ReachAsync(DateTime time, TimeSpan patience, CancellationToken cancellationToken)
    {
        if (time.Ticks < Volatile.Read(ref _final))
            return HorizonResult.Final;

        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var (clock, id) = await NoteAsync(connection, cancellationToken);
        if (time >= clock)
            return HorizonResult.Future;

        var start = Stopwatch.GetTimestamp();
        while (!await HaveEndedAsync(connection, id, cancellationToken))
        {
            if (Stopwatch.GetElapsedTime(start) > patience)
                return HorizonResult.NotYet;
            await Task.Delay(Pause, cancellationToken);
        }
        for (var known = Volatile.Read(ref _final); known < clock.Ticks; known = Volatile.Read(ref _final))
            Interlocked.CompareExchange(ref _final, clock.Ticks, known);
        return HorizonResult.Final;
    }

    private static async Task<(DateTime Clock, string Id)> NoteAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var note = new NpgsqlBatch(connection)
        {
            BatchCommands = { new("select clock_timestamp()"), new("select pg_current_xact_id()::text") },
        };
        await using var reader = await note.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var clock = reader.GetDateTime(0);
        await reader.NextResultAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return (clock, reader.GetString(0));
    }

    private static async Task<bool> HaveEndedAsync(NpgsqlConnection connection, string id, CancellationToken cancellationToken)
    {
        await using var look = new NpgsqlCommand("select pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8", connection) { Parameters = { new() { Value = id } } };
        return (bool)(await look.ExecuteScalarAsync(cancellationToken))!;
    }
}

/// <summary>Whether history up to a time is final.</summary>
public enum HorizonResult
{
    Final,
    /// <summary>The time is later than the database's clock.</summary>
    Future,
    /// <summary>A transaction that is under way may be decided before that time.</summary>
    NotYet,
}
