using Npgsql;

namespace Ledger.Worker.Posting;

/// <summary>
/// How often a command was tried alone without anybody living to see the end. A message comes back for many reasons, and takes
/// along all that was in it and behind it; only this tells the command that brings workers down from its neighbours.
/// </summary>
internal static class Attempts
{
    // What became a dead letter is remembered for a while: nobody learns whether RabbitMQ has heard that its message is dealt with, and a
    // message that comes back must not have its command tried from one again. Whoever brings the command later has mended the cause.
    private static readonly TimeSpan Memory = TimeSpan.FromHours(1);

    /// <summary>
    /// Records a try before it begins; returns how many have begun, this one included. Those of commands that nobody has tried for an hour are
    /// forgotten.
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

    /// <summary>Takes back a try that was cut short, not by the worker's death: as if it had not begun. Those before it still count.</summary>
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

    /// <summary>Forgets the tries of a command whose last one came to an end.</summary>
    public static async Task<bool> EndAsync(NpgsqlConnection connection, Guid command, CancellationToken cancellationToken)
    {
        await using var end = new NpgsqlCommand("delete from ledger.attempts where command_id = $1", connection);
        end.Parameters.Add(new() { Value = command });
        return await end.ExecuteNonQueryAsync(cancellationToken) > 0;
    }
}
