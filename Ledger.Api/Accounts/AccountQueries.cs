using Ledger.Api.Identity;
using Ledger.Core.Currencies;
using Npgsql;

namespace Ledger.Api.Accounts;

/// <summary>Reads accounts of users and of the house.</summary>
public sealed class AccountQueries(NpgsqlDataSource database, CurrencyCatalog catalog)
{
    /// <summary>The user's account with an id; null if it has none.</summary>
    public Task<AccountResponse?> FindAsync(Acting acting, Guid id, CancellationToken cancellationToken) => ReadOneAsync(
        acting,
        new NpgsqlBatchCommand($"select {AccountResponse.Columns} from ledger.accounts a where a.owner_id = $1 and a.id = $2 and a.shard is null")
        {
            Parameters = { new() { Value = acting.User }, new() { Value = id } },
        },
        cancellationToken);

    /// <summary>An account of any user or of the house; null if there is none with this id, or if the caller may not read everything.</summary>
    public async Task<AccountResponse?> FindEverywhereAsync(Guid caller, Guid id, CancellationToken cancellationToken) => (await ReadEverythingAsync(
        caller,
        new NpgsqlBatchCommand($"select {AccountResponse.Columns} from ledger.accounts a where a.id = $1 and a.shard is null")
        {
            Parameters = { new() { Value = id } },
        },
        cancellationToken)).SingleOrDefault();

    /// <summary>The user's accounts.</summary>
    public async Task<IReadOnlyList<AccountResponse>> ListAsync(Acting acting, CancellationToken cancellationToken) => await ReadAsync(
        await database.ReadForAsync(
            acting, cancellationToken,
            new NpgsqlBatchCommand($"select {AccountResponse.Columns} from ledger.accounts a where a.owner_id = $1 and a.kind = 'user' order by a.opened_at, a.id")
            {
                Parameters = { new() { Value = acting.User } },
            }),
        cancellationToken);

    /// <summary>The house accounts, for callers who may read everything.</summary>
    public Task<IReadOnlyList<AccountResponse>> ListHouseAsync(Guid caller, CancellationToken cancellationToken) => ReadEverythingAsync(
        caller, new NpgsqlBatchCommand($"select {AccountResponse.Columns} from ledger.accounts a where a.kind = 'house' order by a.opened_at, a.id"), cancellationToken);

    /// <summary>The account that a command selects by <see cref="AccountResponse.Columns"/>; null if it selects none.</summary>
    public async Task<AccountResponse?> ReadOneAsync(Acting acting, NpgsqlBatchCommand command, CancellationToken cancellationToken) =>
        (await ReadAsync(await database.ReadForAsync(acting, cancellationToken, command), cancellationToken)).SingleOrDefault();

    private async Task<IReadOnlyList<AccountResponse>> ReadEverythingAsync(Guid caller, NpgsqlBatchCommand command, CancellationToken cancellationToken) =>
        await ReadAsync(await database.ReadEverythingAsync(caller, cancellationToken, command), cancellationToken);

    private async Task<IReadOnlyList<AccountResponse>> ReadAsync(NpgsqlDataReader accounts, CancellationToken cancellationToken)
    {
        await using var reader = accounts;
        var currencies = await catalog.GetAsync(cancellationToken);
        var read = new List<AccountResponse>();
        while (await reader.ReadAsync(cancellationToken))
        {
            // The account may be in a currency that was added after the catalog was read.
            if (!currencies.ContainsKey(AccountResponse.CurrencyOf(reader)))
                currencies = await catalog.GetAsync([AccountResponse.CurrencyOf(reader)], cancellationToken);
            read.Add(AccountResponse.Read(reader, currencies));
        }
        return read;
    }
}
