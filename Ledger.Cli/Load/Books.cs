using System.Globalization;
using System.Net;

namespace Ledger.Cli.Load;

/// <summary>The accounts and transactions of the run according to its answers, compared with the API's at the end.</summary>
/// <param name="get">Sends a GET of a path as a caller.</param>
internal sealed class Books(Tally tally, Func<Caller, string, Task<Answer>> get)
{
    // Journals and reversals, which have no owner.
    private readonly History _ofNoUser = new();
    private volatile bool _isOfNoUserInDoubt;

    /// <summary>Excludes the accounts of a command from the comparison, because its outcome is unknown.</summary>
    public void Doubt(Movement movement)
    {
        if (movement.Owner is null)
            _isOfNoUserInDoubt = true;
        foreach (var wallet in movement.Wallets)
            wallet.Doubt();
    }

    /// <summary>Records a command that was posted or rejected.</summary>
    public void Enter(PlannedRequest request, Guid transaction, bool posted)
    {
        var movement = request.Movement!;
        (movement.Owner?.History ?? _ofNoUser).Add(transaction, posted);
        if (posted)
        {
            foreach (var other in movement.Users.Where(user => user != movement.Owner))
                other.History.Add(transaction, posted);
            movement.Post();
            // Its debits were not reserved: the run expected a rejection.
            if (request.Code is not null)
                movement.TakeUnreserved();
        }
        // The reservation of two reversals belongs to the one that is posted.
        else if (request.Code is null && request.Kind != RequestKind.ReversalTwice)
            movement.Release();
    }

    /// <summary>Compares the books of all users with the API, and adds each difference to the tally.</summary>
    public async Task CompareAsync(IReadOnlyList<LoadUser> users)
    {
        foreach (var user in users.Where(user => !user.IsInDoubt))
        {
            await CompareBalancesAsync(user);
            await CompareAccountsAsync(user.Email, "/accounts", user.Caller, [.. user.Accounts]);
            await CompareTransactionsAsync(user.Email, user.Caller, user.History, "");
        }
    }

    /// <summary>Compares the accounts of the house, the positions of the exchange and the transactions of no user with the API.</summary>
    /// <param name="before">The positions of the exchange before the run.</param>
    /// <param name="metadata">The key and value that journals and reversals of the run have.</param>
    public async Task CompareHouseAsync(Caller staff, IReadOnlyList<House> houses, ExchangePositions before, KeyValuePair<string, string> metadata)
    {
        await CompareAccountsAsync("house", "/admin/accounts", staff, [.. houses.SelectMany(house => house.Accounts)]);
        await ComparePositionsAsync(staff, [.. houses.Select(house => house.Exchange)], before);
        if (!_isOfNoUserInDoubt)
            await CompareTransactionsAsync("journals and reversals", staff, _ofNoUser, $"&metadata[{metadata.Key}]={metadata.Value}");
    }

    private async Task CompareBalancesAsync(LoadUser user)
    {
        var answer = await get(user.Caller, "/balances");
        if (answer.Status != HttpStatusCode.OK || answer.Read(ContractJson.Default.BalanceList) is not { } list)
        {
            tally.AddDiscrepancy($"{user.Email}: GET /balances failed: {answer.Outcome} {answer.Failure}");
            return;
        }
        var balances = list.Balances.ToDictionary(balance => balance.Currency);
        foreach (var accounts in user.Accounts.GroupBy(account => account.Currency))
        {
            var currency = accounts.Key;
            var (posted, limit) = (accounts.Sum(account => account.Posted), accounts.Sum(account => account.CreditLimit));
            var expected = new Balance(currency.Code, currency.FormatAmount(posted), currency.FormatAmount(0), currency.FormatAmount(posted + limit));
            balances.Remove(currency.Code, out var actual);
            if (actual != expected)
                tally.AddDiscrepancy($"{user.Email}: the answers sum to {expected}, the API reports {actual?.ToString() ?? "no balance"}");
        }
        foreach (var unknown in balances.Values)
            tally.AddDiscrepancy($"{user.Email}: the API reports a balance in a currency without transactions: {unknown}");
    }

    private async Task CompareAccountsAsync(string whose, string path, Caller caller, IReadOnlyList<Wallet> wallets)
    {
        var answer = await get(caller, path);
        if (answer.Status != HttpStatusCode.OK || answer.Read(ContractJson.Default.AccountList) is not { } list)
        {
            tally.AddDiscrepancy($"{whose}: GET {path} failed: {answer.Outcome} {answer.Failure}");
            return;
        }
        var accounts = list.Accounts.ToDictionary(account => (account.Name, account.Currency));
        foreach (var wallet in wallets.Where(wallet => !wallet.IsInDoubt))
        {
            var currency = wallet.Currency;
            var actual = accounts.GetValueOrDefault((wallet.Name!, currency.Code));
            var expected = new Account(
                actual?.Id ?? default, wallet.Name!, currency.Code, "open", currency.FormatAmount(wallet.Posted), currency.FormatAmount(0),
                currency.FormatAmount(wallet.Posted + wallet.CreditLimit), currency.FormatAmount(wallet.CreditLimit));
            if (actual != expected)
                tally.AddDiscrepancy($"{whose}: the answers give {expected}, the API reports {actual?.ToString() ?? "no account"}");
        }
    }

    private async Task ComparePositionsAsync(Caller staff, IReadOnlyList<Wallet> wallets, ExchangePositions before)
    {
        var answer = await get(staff, "/admin/exchange");
        if (answer.Status != HttpStatusCode.OK || answer.Read(ContractJson.Default.ExchangePositions) is not { } after)
        {
            tally.AddDiscrepancy($"exchange: GET /admin/exchange failed: {answer.Outcome} {answer.Failure}");
            return;
        }
        foreach (var wallet in wallets.Where(wallet => !wallet.IsInDoubt))
        {
            var change = PositionOf(after, wallet.Currency.Code) - PositionOf(before, wallet.Currency.Code);
            var expected = wallet.Currency.FormatAmount(wallet.Posted);
            if (change != decimal.Parse(expected, CultureInfo.InvariantCulture))
                tally.AddDiscrepancy(string.Create(CultureInfo.InvariantCulture, $"exchange: the answers sum to {expected} {wallet.Currency.Code}, the position changed by {change}"));
        }
    }

    // The API does not list currencies without exchanges.
    private static decimal PositionOf(ExchangePositions positions, string currency) =>
        positions.Positions.FirstOrDefault(position => position.Currency == currency) is { } position ? decimal.Parse(position.Position, CultureInfo.InvariantCulture) : 0;

    private async Task CompareTransactionsAsync(string whose, Caller caller, History expected, string filter)
    {
        foreach (var (status, transactions) in new[] { ("posted", expected.Posted), ("rejected", expected.Rejected) })
        {
            var listed = new TransactionSet();
            string? cursor = null;
            do
            {
                var answer = await get(caller, $"/transactions?limit=1000&status={status}{filter}{(cursor is null ? "" : $"&cursor={cursor}")}");
                if (answer.Status != HttpStatusCode.OK || answer.Read(ContractJson.Default.TransactionList) is not { } page)
                {
                    tally.AddDiscrepancy($"{whose}: GET /transactions failed: {answer.Outcome} {answer.Failure}");
                    return;
                }
                foreach (var transaction in page.Items)
                    listed.Add(transaction.Id);
                cursor = page.NextCursor;
            }
            while (cursor is not null);

            if (!listed.IsSameAs(transactions))
                tally.AddDiscrepancy($"{whose}: the answers name {transactions.Count} {status} transactions, the API lists {listed.Count} or different ones");
        }
    }
}
