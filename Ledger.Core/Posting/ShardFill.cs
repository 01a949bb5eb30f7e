using Npgsql;

namespace Ledger.Core.Posting;

/// <summary>How full the settlement and exchange shards of a currency are.</summary>
/// <param name="Ratio">The balance of the fullest one, in either direction, as a part of <see cref="Judge.BalanceLimit"/>.</param>
public sealed record ShardFill(string Currency, double Ratio)
{
    /// <summary>Every currency with a shard that is not empty.</summary>
    public static async Task<IReadOnlyList<ShardFill>> OfAllAsync(NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var read = database.CreateCommand("""
            select currency, max(abs(posted)) from ledger.accounts where kind in ('settlement', 'exchange') and posted <> 0 group by currency
            """);
        await using var reader = await read.ExecuteReaderAsync(cancellationToken);
        var fills = new List<ShardFill>();
        while (await reader.ReadAsync(cancellationToken))
            fills.Add(new ShardFill(reader.GetString(0), (double)reader.GetInt64(1) / Judge.BalanceLimit));
        return fills;
    }
}
