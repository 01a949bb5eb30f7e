using Ledger.Api;
using Ledger.Api.Identity;
using Ledger.Core.Persistence;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Persistence;

/// <summary>Reads return their connections to the pool, also after an error or a cancellation.</summary>
public sealed class DatabaseCallsTests(LedgerSystem system)
{
    [Theory]
    [InlineData("select 1 / 0")]
    [InlineData("select pg_sleep(60)")]
    public async Task Failed_or_cancelled_read_returns_its_connection(string sql)
    {
        await using var api = await system.RoleAsync(DatabaseRoles.Api, maxPoolSize: 1);
        var user = Guid.CreateVersion7();
        using (var gone = new CancellationTokenSource(TimeSpan.FromMilliseconds(300)))
            await Assert.ThrowsAnyAsync<Exception>(() => api.ReadForAsync(new Acting(user, user), gone.Token, new NpgsqlBatchCommand(sql)));

        await using var reader = await api.ReadForAsync(new Acting(user, user), CancellationToken.None, new NpgsqlBatchCommand("select 1"));

        Assert.True(await reader.ReadAsync());
    }
}
