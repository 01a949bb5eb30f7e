using System.Collections.Concurrent;
using System.Net;

namespace Ledger.Cli.Load;

/// <summary>The users' balances and transactions according to the answers of the run, compared with the API's at the end.</summary>
internal sealed class Books(Tally tally)
{
    // A command of these users has no known outcome, so their books cannot be compared.
    private readonly ConcurrentDictionary<LoadUser, bool> _inDoubt = new();

    /// <summary>The number of users whose books cannot be compared, because an answer is missing.</summary>
    public int InDoubt => _inDoubt.Count;

    /// <summary>Excludes the users of a command from the comparison, because its outcome is unknown.</summary>
    public void Doubt(PlannedRequest request)
    {
        _inDoubt[request.User!] = true;
        if (request.Movement!.Recipient is { } recipient)
            _inDoubt[recipient] = true;
    }

    /// <summary>Records a command that was posted or rejected.</summary>
    public static void Enter(PlannedRequest request, Guid transaction, bool posted)
    {
        var (_, from, to, recipient, amount, _, reserved) = request.Movement!;
        if (!posted)
        {
            request.User!.Rejected.Add(transaction);
            if (reserved)
                from!.Release(amount);
            return;
        }
        request.User!.Posted.Add(transaction);
        recipient?.Posted.Add(transaction);
        from?.Debit(amount);
        to?.Credit(amount);
        if (!reserved)
            from?.Release(-amount);
    }

    /// <summary>Compares the books of all users with the API, and adds each difference to the tally.</summary>
    public async Task CompareAsync(IReadOnlyList<LoadUser> users, Func<LoadUser, string, Task<Answer>> get)
    {
        foreach (var user in users.Where(user => !_inDoubt.ContainsKey(user)))
        {
            await CompareBalancesAsync(user, get);
            await CompareHistoryAsync(user, "posted", user.Posted, get);
            await CompareHistoryAsync(user, "rejected", user.Rejected, get);
        }
    }

    private async Task CompareBalancesAsync(LoadUser user, Func<LoadUser, string, Task<Answer>> get)
    {
        var answer = await get(user, "/balances");
        if (answer.Status != HttpStatusCode.OK || answer.Read(ContractJson.Default.BalanceList) is not { } list)
        {
            tally.AddDiscrepancy($"{user.Credentials.Email}: GET /balances failed: {answer.Outcome} {answer.Failure}");
            return;
        }
        var balances = list.Balances.ToDictionary(balance => balance.Currency);
        foreach (var wallet in user.Wallets)
        {
            var (code, zero, expected) = (wallet.Currency.Code, wallet.Currency.FormatAmount(0), wallet.Currency.FormatAmount(wallet.Posted));
            // The API does not list currencies without transactions.
            balances.Remove(code, out var actual);
            actual ??= new Balance(code, zero, zero, zero);
            if (actual != new Balance(code, expected, zero, expected))
                tally.AddDiscrepancy($"{user.Credentials.Email}: the answers sum to {expected} {code}, the API reports {actual}");
        }
        foreach (var unknown in balances.Values)
            tally.AddDiscrepancy($"{user.Credentials.Email}: the API reports a balance in a currency without transactions: {unknown}");
    }

    private async Task CompareHistoryAsync(LoadUser user, string status, History expected, Func<LoadUser, string, Task<Answer>> get)
    {
        var listed = new History();
        string? cursor = null;
        do
        {
            var answer = await get(user, $"/transactions?limit=1000&status={status}{(cursor is null ? "" : $"&cursor={cursor}")}");
            if (answer.Status != HttpStatusCode.OK || answer.Read(ContractJson.Default.TransactionList) is not { } page)
            {
                tally.AddDiscrepancy($"{user.Credentials.Email}: GET /transactions failed: {answer.Outcome} {answer.Failure}");
                return;
            }
            foreach (var transaction in page.Items)
                listed.Add(transaction.Id);
            cursor = page.NextCursor;
        }
        while (cursor is not null);

        if (!listed.IsSameAs(expected))
            tally.AddDiscrepancy($"{user.Credentials.Email}: the answers name {expected.Count} {status} transactions, the API lists {listed.Count} or different ones");
    }
}
