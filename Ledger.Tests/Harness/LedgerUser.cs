namespace Ledger.Tests.Harness;

/// <summary>A user who is logged in, and what it may ask of an API.</summary>
public sealed record LedgerUser(LedgerApi Api, Guid Id, string Email, string Token)
{
    /// <summary>The same user, with the same token, at another API.</summary>
    public LedgerUser At(LedgerApi api) => this with { Api = api };

    public Task<Answer> DepositAsync(
        string amount, string currency = "USD", string? key = null, string? reference = null, object? metadata = null, string? prefer = null) =>
        PostAsync("deposits", new { currency, amount, reference, metadata }, key, prefer);

    public Task<Answer> WithdrawAsync(
        string amount, string currency = "USD", string? key = null, string? reference = null, object? metadata = null, string? prefer = null) =>
        PostAsync("withdrawals", new { currency, amount, reference, metadata }, key, prefer);

    /// <param name="to">A user id or an e-mail address.</param>
    public Task<Answer> TransferAsync(
        string to, string amount, string currency = "USD", string? key = null, string? reference = null, object? metadata = null, string? prefer = null) =>
        PostAsync("transfers", new { to, currency, amount, reference, metadata }, key, prefer);

    public Task<Answer> TransferAsync(LedgerUser to, string amount, string? key = null) => TransferAsync(to.Id.ToString(), amount, key: key);

    /// <summary>What it has, in major units.</summary>
    public async Task<decimal> BalanceAsync(string currency = "USD") => (await GetAsync($"balances/{currency}")).MustBe(200).AmountOf("posted");

    public Task<Answer> TransactionAsync(Guid id) => GetAsync($"transactions/{id}");

    public Task<Answer> GetAsync(string path) => Api.GetAsync(path, Token);

    /// <summary>POST of an object or a raw string.</summary>
    public Task<Answer> PostAsync(string path, object body, string? key = null, string? prefer = null)
    {
        List<(string, string)> headers = [];
        if (key is not null)
            headers.Add(("Idempotency-Key", key));
        if (prefer is not null)
            headers.Add(("Prefer", prefer));
        return Api.PostAsync(path, body, Token, [.. headers]);
    }

    /// <summary>Waits until a transaction is decided, and returns it.</summary>
    public async Task<Answer> DecidedAsync(Guid transaction, TimeSpan? within = null)
    {
        Answer? answer = null;
        await Eventually.TrueAsync(
            async () => (answer = (await TransactionAsync(transaction)).MustBe(200)).TransactionStatus != "pending",
            within, () => $"Transaction {transaction} is still pending.");
        return answer!;
    }
}
