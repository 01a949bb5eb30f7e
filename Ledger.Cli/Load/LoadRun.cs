using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Ledger.Core.Currencies;

namespace Ledger.Cli.Load;

/// <summary>
/// A run of <c>ledger load</c>: registers users, sends requests in an open loop (late answers do not delay the schedule), and
/// compares the books of the answers with the API at the end.
/// </summary>
internal sealed partial class LoadRun : IDisposable
{
    private readonly LoadOptions _options;
    private readonly LedgerClient _client;
    private readonly Books _books;
    private readonly List<LoadUser> _users = [];
    private readonly string _run = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6));
    private readonly RequestMix _mix;
    private long _startedAt;
    private int _inFlight;

    public LoadRun(LoadOptions options)
    {
        _options = options;
        _client = new LedgerClient(options.Urls, options.Connections);
        _mix = new RequestMix(options, _run, _users);
        _books = new Books(Tally);
    }

    public Tally Tally { get; } = new();

    public int InFlight => Volatile.Read(ref _inFlight);

    /// <summary>The time since the first request was due.</summary>
    public TimeSpan Elapsed => _startedAt == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(_startedAt);

    /// <summary>The number of requests that have been due.</summary>
    public long Planned => _startedAt == 0 ? 0 : Math.Min(Requests, (long)(Elapsed.TotalSeconds * _options.Rate) + 1);

    private long Requests => (long)Math.Round(_options.Rate * _options.Duration.TotalSeconds);

    /// <summary>Registers users, logs them in and deposits money for each in every enabled currency.</summary>
    /// <exception cref="LoadException">The API refuses a request, or no currency is enabled.</exception>
    public async Task PrepareAsync(CancellationToken cancellationToken)
    {
        var list = Expect(await _client.SendAsync(HttpMethod.Get, "/currencies"), HttpStatusCode.OK, "GET /currencies").Read(ContractJson.Default.CurrencyList)!;
        var currencies = list.Currencies.Where(c => c.Enabled).Select(c => new Currency(c.Code, c.Name, c.Exponent, c.Enabled)).ToList();
        if (currencies.Count == 0)
            throw new LoadException("No currency is enabled.");

        var users = new LoadUser[_options.Users];
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = cancellationToken };
        await Parallel.ForAsync(0, users.Length, parallel, async (i, _) =>
        {
            var credentials = new Credentials(string.Create(CultureInfo.InvariantCulture, $"load-{_run}-{i}@example.com"), $"{_run}-{Guid.NewGuid():N}");
            var answer = await _client.SendAsync(HttpMethod.Post, "/identity/register", body: LedgerClient.Body(credentials, ContractJson.Default.Credentials));
            var registered = Expect(answer, HttpStatusCode.Created, "POST /identity/register").Read(ContractJson.Default.Registered)!;
            users[i] = new LoadUser(registered.UserId, credentials, currencies);
            await LogInAsync(users[i]);
        });
        _users.AddRange(users);

        var funding = _users.SelectMany(user => user.Wallets.Select(wallet => _mix.Fund(user, wallet))).ToList();
        await Parallel.ForEachAsync(funding, parallel, async (request, _) => await JudgeAsync(request, await AskAsync(request)));
        if (Tally.Discrepancies > 0)
            throw new LoadException($"The first deposits failed: {Tally.Listed.First()}");
    }

    /// <summary>Sends requests for the duration of the run, and returns when all of them have ended.</summary>
    public async Task SendAsync(CancellationToken cancellationToken)
    {
        using var sent = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var tokens = KeepTokensFreshAsync(sent.Token);
        // A dedicated thread, because a busy thread pool would delay the schedule.
        await Task.Factory.StartNew(() => KeepSchedule(cancellationToken), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        // Each request ends, at the latest by its timeout or by GiveUpAfter.
        while (InFlight > 0)
            await Task.Delay(10, CancellationToken.None);
        await sent.CancelAsync();
        await tokens;
    }

    /// <summary>Compares the balances and transactions that the API reports with its answers during the run.</summary>
    public Task CheckBooksAsync() => _books.CompareAsync(_users, (user, path) => AskAsync(HttpMethod.Get, path, user.Bearer));

    /// <summary>The number of users whose books cannot be compared.</summary>
    public long UsersInDoubt => _books.InDoubt;

    public void Dispose() => _client.Dispose();

    private void KeepSchedule(CancellationToken cancellationToken)
    {
        var requests = Requests;
        var interval = Stopwatch.Frequency / _options.Rate;
        var maxLateness = (long)(_options.MaxLateness.TotalSeconds * Stopwatch.Frequency);
        var start = _startedAt = Stopwatch.GetTimestamp();
        var end = start + (long)(requests * interval);
        for (var i = 0L; i < requests; i++)
        {
            var planned = start + (long)(i * interval);
            long now;
            while ((now = Stopwatch.GetTimestamp()) < planned || InFlight >= _options.MaxInFlight)
            {
                if (cancellationToken.IsCancellationRequested)
                    return;
                if (now > end + maxLateness)
                {
                    Tally.AddMissed(requests - i);
                    return;
                }
                Thread.Sleep((int)Math.Clamp((planned - now) * 1000 / Stopwatch.Frequency, 1, 100));
            }
            Interlocked.Increment(ref _inFlight);
            var request = _mix.Next();
            ThreadPool.UnsafeQueueUserWorkItem(_ => _ = ServeAsync(request, planned, maxLateness), null);
        }
    }

    private async Task ServeAsync(PlannedRequest request, long planned, long maxLateness)
    {
        try
        {
            Tally.AddStarted();
            if (Stopwatch.GetTimestamp() - planned > maxLateness)
                Tally.AddMissed();
            var answer = await AskAsync(request);
            Tally.AddEnded(request.Kind, answer, Stopwatch.GetElapsedTime(planned));
            await JudgeAsync(request, answer);
        }
        catch (Exception e)
        {
            Tally.AddDiscrepancy($"{request.Kind}: {e}");
        }
        finally
        {
            Interlocked.Decrement(ref _inFlight);
        }
    }

    private Task<Answer> AskAsync(PlannedRequest request) =>
        AskAsync(request.Method, request.Path, request.Bearer ?? request.User?.Bearer, request.Body, request.Key, request.RespondAsync);

    private async Task<Answer> AskAsync(
        HttpMethod method, string path, string? bearer, byte[]? body = null, string? key = null, bool respondAsync = false)
    {
        var started = Stopwatch.GetTimestamp();
        var pause = TimeSpan.FromMilliseconds(100);
        while (true)
        {
            var answer = await _client.SendAsync(method, path, bearer, body, key, respondAsync);
            if (!answer.IsOutage || !_options.TolerateOutage || Stopwatch.GetElapsedTime(started) > _options.GiveUpAfter)
                return answer;
            Tally.AddRetried();
            await Task.Delay(pause);
            pause = TimeSpan.FromMilliseconds(Math.Min(1000, pause.TotalMilliseconds * 2));
        }
    }

    private async Task JudgeAsync(PlannedRequest request, Answer answer)
    {
        if (request.Movement is not null)
        {
            await JudgeCommandAsync(request, answer);
            return;
        }
        if (!IsAsExpected(request, answer))
            return;
        if (request.Kind == RequestKind.Replay)
            JudgeReplay(request.About!, answer);
        else if (request.Kind == RequestKind.OneTransaction && answer.Read(ContractJson.Default.TransactionBody) is var read
            && (read?.Id != request.About!.TransactionId || read.Status == "pending"))
            Tally.AddDiscrepancy($"GET {request.Path}: the transaction was decided, but the answer is {read?.Status} with id {read?.Id}");
    }

    private bool IsAsExpected(PlannedRequest request, Answer answer)
    {
        if (answer.Status == request.Status && (request.Code is null || answer.Problem.Code == request.Code))
            return true;
        Tally.AddDiscrepancy($"{request.Kind}, {request.Method} {request.Path}: expected {(int)request.Status} {request.Code}, got {Describe(answer)}");
        return false;
    }

    private static string Describe(Answer answer) =>
        $"{answer.Outcome} {answer.Failure}{(answer.Problem.TraceId is { } trace ? $" (trace {trace})" : "")}".TrimEnd();

    /// <summary>Checks the answer to a command, polls the outcome after a 202, and records it in the books.</summary>
    private async Task JudgeCommandAsync(PlannedRequest request, Answer answer)
    {
        var expected = request.Code is null ? "posted" : "rejected";
        switch (answer.Status)
        {
            case HttpStatusCode.Created when answer.Read(ContractJson.Default.TransactionBody) is { } transaction:
                Decide(request, answer, transaction.Id, "posted", null);
                JudgeBody(request, transaction, "posted");
                break;

            case HttpStatusCode.Accepted when answer.Read(ContractJson.Default.TransactionBody) is { } recorded:
                JudgeBody(request, recorded, recorded.Status);
                var decided = await FollowAsync(request, recorded.Id);
                if (decided is null)
                {
                    _books.Doubt(request);
                    break;
                }
                Decide(request, answer, decided.Id, decided.Status, decided.Rejection?.Code);
                JudgeBody(request, decided, expected);
                break;

            case HttpStatusCode.UnprocessableEntity when answer.Problem.TransactionId is { } id:
                Decide(request, answer, id, "rejected", answer.Problem.Code);
                break;

            default:
                IsAsExpected(request, answer);
                if (answer.Status is 0 or >= HttpStatusCode.InternalServerError or HttpStatusCode.Created or HttpStatusCode.Accepted)
                    _books.Doubt(request);
                else if (request.Movement!.Reserved)
                    request.Movement.From!.Release(request.Movement.Amount);
                break;
        }
    }

    private void Decide(PlannedRequest request, Answer answer, Guid id, string status, string? code)
    {
        Books.Enter(request, id, status == "posted");
        _mix.Remember(new DecidedCommand(request, answer, id));
        if (status != (request.Code is null ? "posted" : "rejected") || code != request.Code)
            Tally.AddDiscrepancy($"{request.Kind}, transaction {id}: expected {request.Code ?? "posted"}, got {code ?? status}");
    }

    private void JudgeBody(PlannedRequest request, TransactionBody transaction, string status)
    {
        var movement = request.Movement!;
        var currency = movement.Own.Currency;
        var amount = currency.FormatAmount(movement.Amount);
        var entry = movement.From is null ? amount : "-" + amount;
        if (transaction.Status != status || transaction.Kind != movement.Kind || transaction.Currency != currency.Code
            || transaction.Amount != amount || transaction.Reference != movement.Reference
            || !transaction.Entries.Select(e => (e.Currency, e.Amount)).SequenceEqual(transaction.Status == "posted" ? [(currency.Code, entry)] : []))
            Tally.AddDiscrepancy($"{request.Kind}, transaction {transaction.Id}: the answer differs from the request: {transaction}");
    }

    private void JudgeReplay(DecidedCommand first, Answer answer)
    {
        if (!answer.Replayed)
            Tally.AddDiscrepancy($"Replay of transaction {first.TransactionId}: the header Idempotency-Replayed is missing");
        // The bodies can differ: a problem contains its own trace id, a 202 becomes a 201 or 422 once decided, and a decided transaction
        // gets its place in the journal a moment later.
        var same = answer.Status != HttpStatusCode.Created
            ? answer.Problem.TransactionId == first.TransactionId && (first.Answer.Status == HttpStatusCode.Accepted || answer.Problem.Available == first.Answer.Problem.Available)
            : first.Answer.Status == HttpStatusCode.Accepted
                ? answer.Read(ContractJson.Default.TransactionBody)?.Id == first.TransactionId
                : WithoutSequence(answer.Body) == WithoutSequence(first.Answer.Body);
        if (!same)
            Tally.AddDiscrepancy($"Replay of transaction {first.TransactionId}: the answer differs from the first one");
    }

    private static string WithoutSequence(byte[] body) => Sequence().Replace(Encoding.UTF8.GetString(body), "");

    [GeneratedRegex("\"sequence\":(null|[0-9]+),")]
    private static partial Regex Sequence();

    /// <summary>Polls a command that was answered 202 until it is decided; null, with a discrepancy, after the time limit.</summary>
    private async Task<TransactionBody?> FollowAsync(PlannedRequest request, Guid id)
    {
        var started = Stopwatch.GetTimestamp();
        var pause = TimeSpan.FromMilliseconds(20);
        while (Stopwatch.GetElapsedTime(started) < _options.GiveUpAfter)
        {
            var answer = await AskAsync(HttpMethod.Get, $"/transactions/{id}", request.User!.Bearer);
            if (answer.Status != HttpStatusCode.OK || answer.Read(ContractJson.Default.TransactionBody) is not { } transaction)
            {
                Tally.AddDiscrepancy($"{request.Kind}, transaction {id}: polled after a 202, got {Describe(answer)}");
                return null;
            }
            if (transaction.Status != "pending")
                return transaction;
            await Task.Delay(pause);
            pause = TimeSpan.FromMilliseconds(Math.Min(1000, pause.TotalMilliseconds * 2));
        }
        Tally.AddDiscrepancy($"{request.Kind}, transaction {id}: answered 202 and still pending after {_options.GiveUpAfter.TotalSeconds:0} s");
        return null;
    }

    private async Task<TimeSpan> LogInAsync(LoadUser user)
    {
        var answer = await AskAsync(HttpMethod.Post, "/identity/login", null, LedgerClient.Body(user.Credentials, ContractJson.Default.Credentials));
        var tokens = Expect(answer, HttpStatusCode.OK, "POST /identity/login").Read(ContractJson.Default.Tokens)!;
        user.Bearer = $"Bearer {tokens.AccessToken}";
        return TimeSpan.FromSeconds(tokens.ExpiresIn);
    }

    /// <summary>Logs the users in again before their tokens expire.</summary>
    private async Task KeepTokensFreshAsync(CancellationToken cancellationToken)
    {
        var lifetime = TimeSpan.FromMinutes(1);
        while (true)
        {
            await Task.Delay(lifetime / 2, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (cancellationToken.IsCancellationRequested)
                return;
            try
            {
                foreach (var user in _users)
                    lifetime = await LogInAsync(user);
            }
            catch (LoadException e)
            {
                Tally.AddDiscrepancy(e.Message);
                lifetime = TimeSpan.FromMinutes(1);
            }
        }
    }

    private static Answer Expect(Answer answer, HttpStatusCode status, string what) =>
        answer.Status == status ? answer : throw new LoadException($"{what}: expected {(int)status}, got {Describe(answer)}.");
}

/// <summary>The run cannot continue. The message is one line with the reason.</summary>
internal sealed class LoadException(string message) : Exception(message);
