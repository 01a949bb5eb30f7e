using Ledger.Api.Identity;
using Ledger.Core.Currencies;
using Ledger.Core.Persistence;
using Npgsql;

namespace Ledger.Api.Accounts;

/// <summary>Reads accounts of users and of the house.</summary>
public sealed class AccountQueries(NpgsqlDataSource database, CurrencyCatalog catalog)
{
    /// <summary>The user's account with an id; null if it has none.</summary>
    public Task<AccountResponse?> FindAsync(Acting acting, Guid id, CancellationToken cancellationToken) => ReadOneAsync(
        acting, cancellationToken, new NpgsqlBatchCommand($"select {AccountResponse.Columns} from ledger.accounts a where a.owner_id = $1 and a.id = $2 and a.shard is null")
        {
            Parameters = { new() { Value = acting.User }, new() { Value = id } },
        });

    /// <summary>Anybody's account, for operators and auditors.</summary>
    public Task<AccountResponse?> FindEverywhereAsync(Guid caller, Guid id, CancellationToken cancellationToken) => ReadOneAsync(
        new Acting(caller, caller), cancellationToken, DatabaseRoles.ReadEverything(),
        new NpgsqlBatchCommand($"select {AccountResponse.Columns} from ledger.accounts a where a.id = $1 and a.shard is null") { Parameters = { new() { Value = id } } });

    /// <summary>The user's accounts.</summary>
    public Task<IReadOnlyList<AccountResponse>> ListAsync(Acting acting, CancellationToken cancellationToken) => ReadAsync(
        acting, cancellationToken, new NpgsqlBatchCommand($"select {AccountResponse.Columns} from ledger.accounts a where a.owner_id = $1 and a.kind = 'user' order by a.opened_at, a.id")
        {
            Parameters = { new() { Value = acting.User } },
        });

    /// <summary>The house accounts, for operators and auditors.</summary>
    public Task<IReadOnlyList<AccountResponse>> ListHouseAsync(Guid caller, CancellationToken cancellationToken) => ReadAsync(
        new Acting(caller, caller), cancellationToken, DatabaseRoles.ReadEverything(),
        new NpgsqlBatchCommand($"select {AccountResponse.Columns} from ledger.accounts a where a.kind = 'house' order by a.opened_at, a.id"));

    /// <summary>The account that the last command selects by <see cref="AccountResponse.Columns"/>; null if it selects none.</summary>
    public async Task<AccountResponse?> ReadOneAsync(Acting acting, CancellationToken cancellationToken, params NpgsqlBatchCommand[] commands) =>
        (await ReadAsync(acting, cancellationToken, commands)).SingleOrDefault();

    private async Task<IReadOnlyList<AccountResponse>> ReadAsync(Acting acting, CancellationToken cancellationToken, params NpgsqlBatchCommand[] commands)
    {
        var currencies = await catalog.GetAsync(cancellationToken);
        await using var reader = await database.ReadForAsync(acting, cancellationToken, commands);
        for (var result = 1; result < commands.Length; result++)
            await reader.NextResultAsync(cancellationToken);
        var accounts = new List<AccountResponse>();
        while (await reader.ReadAsync(cancellationToken))
        {
            // Opened in a currency that was added a moment ago.
            if (!currencies.ContainsKey(AccountResponse.CurrencyOf(reader)))
                currencies = await catalog.GetAsync([AccountResponse.CurrencyOf(reader)], cancellationToken);
            accounts.Add(AccountResponse.Read(reader, currencies));
        }
        return accounts;
    }
}
