using System.Collections.Concurrent;
using System.Net;

namespace Ledger.Cli.Load;

/// <summary>What the API answered, added up, to be held against what it says at the end.</summary>
internal sealed class Books(Tally tally)
{
    // Users of commands of which it is not known whether they were posted: their books prove nothing.
    private readonly ConcurrentDictionary<LoadUser, bool> _inDoubt = new();

    /// <summary>Users whose books cannot be compared, because an answer is missing.</summary>
    public int InDoubt => _inDoubt.Count;

    public void Doubt(PlannedRequest request)
    {
        _inDoubt[request.User!] = true;
        if (request.Movement!.Recipient is { } recipient)
            _inDoubt[recipient] = true;
    }

    /// <summary>Enters a command that was posted or rejected.</summary>
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
            tally.AddDiscrepancy($"Balances of {user.Credentials.Email} cannot be read: {answer.Outcome} {answer.Failure}");
            return;
        }
        var balances = list.Balances.ToDictionary(balance => balance.Currency);
        foreach (var wallet in user.Wallets)
        {
            var (code, zero, expected) = (wallet.Currency.Code, wallet.Currency.FormatAmount(0), wallet.Currency.FormatAmount(wallet.Posted));
            // A currency in which nothing ever happened is not listed.
            balances.Remove(code, out var actual);
            actual ??= new Balance(code, zero, zero, zero);
            if (actual != new Balance(code, expected, zero, expected))
                tally.AddDiscrepancy($"{user.Credentials.Email}: what was answered sums to {expected} {code}, the API says {actual}");
        }
        foreach (var unknown in balances.Values)
            tally.AddDiscrepancy($"{user.Credentials.Email}: the API has a balance that nothing brought about: {unknown}");
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
                tally.AddDiscrepancy($"Transactions of {user.Credentials.Email} cannot be read: {answer.Outcome} {answer.Failure}");
                return;
            }
            foreach (var transaction in page.Items)
                listed.Add(transaction.Id);
            cursor = page.NextCursor;
        }
        while (cursor is not null);

        if (!listed.IsSameAs(expected))
            tally.AddDiscrepancy($"{user.Credentials.Email}: {expected.Count} transactions were answered as {status}, the API lists {listed.Count}, or others");
    }
}
