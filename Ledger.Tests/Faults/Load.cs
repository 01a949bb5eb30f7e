using System.Collections.Concurrent;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Faults;

/// <summary>
/// Clients that move money, each request with its key, and that try again with the same key whenever they learn nothing
/// (5xx, a lost connection): what the ledger owes them is checked at the end.
/// </summary>
internal sealed class Load : IAsyncDisposable
{
    private const int Clients = 12;
    private const string Currency = "USD";
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly IReadOnlyList<LedgerApi> _apis;
    private readonly IReadOnlyList<LedgerUser> _users;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentQueue<Outcome> _outcomes = new();
    private readonly Task _clients;

    private Load(IReadOnlyList<LedgerApi> apis, IReadOnlyList<LedgerUser> users)
    {
        _apis = apis;
        _users = users;
        _clients = Task.WhenAll(Enumerable.Range(0, Clients).Select(client => Task.Run(() => RunAsync(new Random(client)))));
    }

    /// <summary>What clients met instead of an answer, each of which they tried again.</summary>
    public ConcurrentQueue<string> Disturbances { get; } = new();

    public static async Task<Load> StartAsync(FaultSystem system)
    {
        var users = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => system.Apis[0].NewUserAsync()));
        return new Load(system.Apis, users);
    }

    /// <summary>Returns when so many more requests have got their answer.</summary>
    public async Task AnsweredAsync(int more)
    {
        var goal = _outcomes.Count + more;
        await Eventually.TrueAsync(async () =>
        {
            if (_clients.IsFaulted)
                await _clients;
            return _outcomes.Count >= goal;
        }, FaultSystem.Recovery, () => $"Only {_outcomes.Count} of {goal} requests have been answered. Last: {Disturbances.LastOrDefault()}");
    }

    /// <summary>Ends the load once every request under way has its answer, and holds the ledger to all of them.</summary>
    public async Task MustHaveBeenKeptAsync(NpgsqlDataSource database)
    {
        await _stop.CancelAsync();
        await _clients;
        await Books.NothingPendingAsync(database, FaultSystem.Recovery);

        var stored = await ReadAsync(database);
        foreach (var outcome in _outcomes)
        {
            // Keys are the client's own: exactly one transaction stands behind each, and it is the one that was answered.
            Assert.True(stored.TryGetValue(outcome.Key, out var transaction), $"Answered {outcome.Status} and lost: {outcome}");
            Assert.Equal(new Stored(outcome.TransactionId, outcome.Kind, outcome.Owner, outcome.Recipient, outcome.Cents, transaction.Status), transaction);
            Assert.True(
                outcome.Status switch { 201 => transaction.Status == "posted", 422 => transaction.Status == "rejected", _ => transaction.Status is "posted" or "rejected" },
                $"Answered {outcome.Status}, but {transaction.Status}: {outcome}");
        }

        // Nothing moved beside what was asked for, and nothing twice.
        var ids = _users.Select(user => user.Id).ToArray();
        Assert.Equal(_outcomes.Count, await Books.NumberAsync(database, "select count(*) from ledger.transactions where owner_id = any ($1)", ids));
        foreach (var user in _users)
        {
            var expected = stored.Values.Where(transaction => transaction.Status == "posted").Sum(transaction =>
                (transaction.Kind == "deposits" && transaction.Owner == user.Id ? transaction.Cents : 0)
                + (transaction.Kind == "transfers" && transaction.Recipient == user.Id ? transaction.Cents : 0)
                - (transaction.Kind == "transfers" && transaction.Owner == user.Id ? transaction.Cents : 0));
            Assert.Equal(expected, await Books.NumberAsync(database, "select coalesce(sum(posted), 0)::bigint from ledger.accounts where owner_id = $1", user.Id));
        }
        await Books.MustBalanceAsync(database);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _clients.ContinueWith(_ => { }, TaskScheduler.Default);
        _stop.Dispose();
    }

    private async Task RunAsync(Random random)
    {
        while (!_stop.IsCancellationRequested)
        {
            var user = _users[random.Next(_users.Count)];
            var isDeposit = random.Next(2) == 0;
            var recipient = isDeposit ? null : _users.Where(other => other.Id != user.Id).ElementAt(random.Next(_users.Count - 1));
            var cents = random.Next(1, 10_000);
            await AskAsync(user, recipient, cents, Guid.NewGuid().ToString("N"), random);
        }
    }

    // Does not stop before it has an answer: the key alone tells what became of a request.
    private async Task AskAsync(LedgerUser user, LedgerUser? recipient, int cents, string key, Random random)
    {
        var amount = $"{cents / 100}.{cents % 100:00}";
        var start = TimeProvider.System.GetTimestamp();
        while (true)
        {
            var caller = user.At(_apis[random.Next(_apis.Count)]);
            string disturbance;
            try
            {
                var answer = recipient is null
                    ? await caller.DepositAsync(amount, Currency, key, prefer: "wait=3")
                    : await caller.TransferAsync(recipient.Id.ToString(), amount, Currency, key, prefer: "wait=3");
                if (answer.Status is 201 or 202 or 422)
                {
                    _outcomes.Enqueue(new Outcome(key, answer.Status, answer.TransactionId, recipient is null ? "deposits" : "transfers", user.Id, recipient?.Id, cents));
                    return;
                }
                disturbance = $"{answer.Status} {answer.Text}";
                // A promise that nothing was promised comes with a time to try again; anything but 503 is a fault of its own.
                if (answer.Status != 503)
                    Assert.Fail($"Neither an answer nor 'unavailable': {disturbance}");
                answer.MustBe(503, "unavailable");
                Assert.NotNull(answer.Headers.RetryAfter);
            }
            catch (HttpRequestException e)
            {
                disturbance = $"{e.HttpRequestError}: {e.Message}";
            }
            Disturbances.Enqueue(disturbance);
            if (TimeProvider.System.GetElapsedTime(start) > Patience)
                Assert.Fail($"No answer within {Patience.TotalSeconds:0} s: {disturbance}");
            // Not a wait for anything: a client that is turned away comes back after a moment.
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(20, 80)));
        }
    }

    private async Task<Dictionary<string, Stored>> ReadAsync(NpgsqlDataSource database)
    {
        await using var command = database.CreateCommand("""
            select k.key, t.id, t.kind || 's', t.owner_id, t.recipient_id, t.amount, t.status
            from ledger.idempotency_keys k join ledger.transactions t on t.id = k.transaction_id
            where k.principal_id = any ($1) and t.currency = 'USD'
            """);
        command.Parameters.Add(new() { Value = _users.Select(user => user.Id).ToArray() });
        await using var reader = await command.ExecuteReaderAsync();
        var stored = new Dictionary<string, Stored>();
        while (await reader.ReadAsync())
        {
            stored.Add(reader.GetString(0), new Stored(
                reader.GetGuid(1), reader.GetString(2), reader.GetGuid(3), reader.IsDBNull(4) ? null : reader.GetGuid(4), reader.GetInt64(5), reader.GetString(6)));
        }
        return stored;
    }

    private sealed record Outcome(string Key, int Status, Guid TransactionId, string Kind, Guid Owner, Guid? Recipient, long Cents);

    private sealed record Stored(Guid Id, string Kind, Guid Owner, Guid? Recipient, long Cents, string Status);
}
