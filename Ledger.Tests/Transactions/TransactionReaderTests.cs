using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Transactions;

/// <summary>How the worker reads decided transactions.</summary>
public sealed class TransactionReaderTests(LedgerSystem system)
{
    /// <summary>With the planner settings of the worker's sessions, which once led to a plan that sorted all entries.</summary>
    [Fact]
    public async Task Query_of_entries_scans_no_table_sequentially()
    {
        var database = await system.DatabaseAsync();
        await using var connection = await database.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await ExecuteAsync(connection, "set local enable_seqscan = off; set local plan_cache_mode = force_generic_plan");

        var plan = new List<string>();
        await using (var explain = new NpgsqlCommand($"explain {TransactionReader.Entries}", connection) { Parameters = { new NpgsqlParameter<Guid[]> { TypedValue = [Guid.CreateVersion7()] } } })
        await using (var reader = await explain.ExecuteReaderAsync(TestContext.Current.CancellationToken))
        {
            while (await reader.ReadAsync(TestContext.Current.CancellationToken))
                plan.Add(reader.GetString(0));
        }
        Assert.DoesNotContain(plan, line => line.Contains("Seq Scan", StringComparison.Ordinal));
        Assert.Contains(plan, line => line.Contains("entries_pkey", StringComparison.Ordinal));
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }
}
