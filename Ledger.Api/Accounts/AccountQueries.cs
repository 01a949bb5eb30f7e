using Ledger.Core.Currencies;
using Ledger.Core.Persistence;
using Npgsql;

namespace Ledger.Api.Accounts;

/// <summary>Reads accounts of users and of the house.</summary>
public sealed class AccountQueries(NpgsqlDataSource database, CurrencyCatalog catalog)
{
    /// <summary>The caller's account with an id; null if it has none.</summary>
    public async Task<AccountResponse?> FindAsync(Guid caller, Guid id, CancellationToken cancellationToken) =>
        (await ReadAsync(caller, isEverything: false, $"select {AccountResponse.Columns} from ledger.accounts a where a.owner_id = $1 and a.id = $2 and a.shard is null", id, cancellationToken))
            .SingleOrDefault();

    /// <summary>Anybody's account, for operators and auditors.</summary>
    public async Task<AccountResponse?> FindEverywhereAsync(Guid caller, Guid id, CancellationToken cancellationToken) =>
        (await ReadAsync(caller, isEverything: true, $"select {AccountResponse.Columns} from ledger.accounts a where $1::uuid is not null and a.id = $2 and a.shard is null", id, cancellationToken))
            .SingleOrDefault();

    /// <summary>The caller's accounts.</summary>
    public Task<IReadOnlyList<AccountResponse>> ListAsync(Guid caller, CancellationToken cancellationToken) => ReadAsync(
        caller, isEverything: false,
        $"select {AccountResponse.Columns} from ledger.accounts a where a.owner_id = $1 and a.kind = 'user' and $2::uuid is null order by a.opened_at, a.id", null, cancellationToken);

    /// <summary>The house accounts, for operators and auditors.</summary>
    public Task<IReadOnlyList<AccountResponse>> ListHouseAsync(Guid caller, CancellationToken cancellationToken) => ReadAsync(
        caller, isEverything: true,
        $"select {AccountResponse.Columns} from ledger.accounts a where $1::uuid is not null and a.kind = 'house' and $2::uuid is null order by a.opened_at, a.id", null, cancellationToken);

    private async Task<IReadOnlyList<AccountResponse>> ReadAsync(Guid caller, bool isEverything, string sql, Guid? id, CancellationToken cancellationToken)
    {
        var currencies = await catalog.GetAsync(cancellationToken);
        var query = new NpgsqlBatchCommand(sql)
        {
            Parameters = { new() { Value = caller }, new() { Value = id ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Uuid } },
        };
        await using var reader = isEverything
            ? await database.ReadForAsync(caller, cancellationToken, DatabaseRoles.ReadEverything(), query)
            : await database.ReadForAsync(caller, cancellationToken, query);
        if (isEverything)
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
