using Npgsql;

namespace Ledger.Worker.Posting;

/// <summary>
/// Attempts to post a command alone that began and have not ended. A message returns for many reasons, with all of its commands;
/// these records tell the command that brings workers down from its neighbours.
/// </summary>
internal static class Attempts
{
    // A dead letter's attempts stay for a while: its message returns if the acknowledgement was lost, and must not be tried from one
    // again. A dead letter that is moved back later starts with no attempts.
    private static readonly TimeSpan Memory = TimeSpan.FromHours(1);

    /// <summary>
    /// Records an attempt before it begins, and returns how many have begun, this one included. Attempts that are older than an hour
    /// are deleted.
    /// </summary>
    public static async Task<int> BeginAsync(NpgsqlConnection connection, Guid command, CancellationToken cancellationToken)
    {
        await using var begin = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new("delete from ledger.attempts where last_at < clock_timestamp() - $1") { Parameters = { new() { Value = Memory } } },
                new("""
                    insert into ledger.attempts as a (command_id) values ($1)
                    on conflict (command_id) do update set begun = a.begun + 1, last_at = clock_timestamp()
                    returning begun
                    """)
                { Parameters = { new() { Value = command } } },
            },
        };
        return (int)(await begin.ExecuteScalarAsync(cancellationToken))!;
    }

    /// <summary>Takes back an attempt that was cancelled. Earlier attempts still count.</summary>
    public static async Task<bool> TakeBackAsync(NpgsqlConnection connection, Guid command, CancellationToken cancellationToken)
    {
        await using var takeBack = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new("delete from ledger.attempts where command_id = $1 and begun = 1") { Parameters = { new() { Value = command } } },
                new("update ledger.attempts set begun = begun - 1 where command_id = $1 and begun > 1") { Parameters = { new() { Value = command } } },
            },
        };
        return await takeBack.ExecuteNonQueryAsync(cancellationToken) > 0;
    }

    /// <summary>Deletes the attempts of a command whose last attempt ended.</summary>
    public static async Task<bool> EndAsync(NpgsqlConnection connection, Guid command, CancellationToken cancellationToken)
    {
        await using var end = new NpgsqlCommand("delete from ledger.attempts where command_id = $1", connection);
        end.Parameters.Add(new() { Value = command });
        return await end.ExecuteNonQueryAsync(cancellationToken) > 0;
    }
}
