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
    private readonly List<House> _houses = [];
    private readonly Caller? _operator;
    private readonly string _run = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6));
    private readonly RequestMix _mix;
    private ExchangePositions _positions = new([]);
    private long _startedAt;
    private int _inFlight;

    public LoadRun(LoadOptions options)
    {
        _options = options;
        _client = new LedgerClient(options.Urls, options.Connections);
        _operator = options.Operator is { } credentials ? new Caller(credentials) : null;
        _mix = new RequestMix(options, _run, _users, options.ApiKey is { } key ? new Caller(null, $"Bearer {key}") : _operator, _houses);
        _books = new Books(Tally, (caller, path) => AskAsync(HttpMethod.Get, path, caller));
    }

    public Tally Tally { get; } = new();

    public int InFlight => Volatile.Read(ref _inFlight);

    /// <summary>The time since the first request was due.</summary>
    public TimeSpan Elapsed => _startedAt == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(_startedAt);

    /// <summary>The number of requests that have been due.</summary>
    public long Planned => _startedAt == 0 ? 0 : Math.Min(Requests, (long)(Elapsed.TotalSeconds * _options.Rate) + 1);

    private long Requests => (long)Math.Round(_options.Rate * _options.Duration.TotalSeconds);

    /// <summary>
    /// Registers users, logs them in and deposits money for each in every currency of the run. With an operator, opens house accounts and
    /// gives each user an account with a credit limit.
    /// </summary>
    /// <exception cref="LoadException">The API refuses a request, or the run has no currency.</exception>
    public async Task PrepareAsync(CancellationToken cancellationToken)
    {
        var currencies = await ReadCurrenciesAsync();
        if (_operator is not null)
        {
            await LogInAsync(_operator);
            _positions = Expect(await AskAsync(HttpMethod.Get, "/admin/exchange", _operator), HttpStatusCode.OK, "GET /admin/exchange").Read(ContractJson.Default.ExchangePositions)!;
        }
        foreach (var currency in currencies)
            _houses.Add(new House(new Wallet(currency, null, null), await OpenHouseAccountAsync(currency, "fees"), await OpenHouseAccountAsync(currency, "tax")));

        var users = new LoadUser[_options.Users];
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = cancellationToken };
        await Parallel.ForAsync(0, users.Length, parallel, async (i, _) =>
        {
            var credentials = new Credentials(string.Create(CultureInfo.InvariantCulture, $"load-{_run}-{i}@example.com"), $"{_run}-{Guid.NewGuid():N}");
            var registered = await PostAsync("/identity/register", null, LedgerClient.Body(credentials, ContractJson.Default.Credentials));
            users[i] = new LoadUser(registered.Read(ContractJson.Default.Registered)!.UserId, credentials, currencies);
            await LogInAsync(users[i].Caller);
            if (_operator is not null)
                users[i].CreditLine = await OpenCreditLineAsync(users[i], currencies[i % currencies.Count]);
        });
        _users.AddRange(users);

        var funding = _users.SelectMany(user => user.Wallets.Select(wallet => _mix.Fund(user, wallet))).ToList();
        await Parallel.ForEachAsync(funding, parallel, async (request, _) => await JudgeAsync(request, await AskAsync(request)));
        if (Tally.Discrepancies > 0)
            throw new LoadException($"The first deposits failed: {Tally.Listed.First()}");
    }

    private async Task<List<Currency>> ReadCurrenciesAsync()
    {
        var list = Expect(await _client.SendAsync(HttpMethod.Get, "/currencies"), HttpStatusCode.OK, "GET /currencies").Read(ContractJson.Default.CurrencyList)!;
        var enabled = list.Currencies.Where(c => c.Enabled).Select(c => new Currency(c.Code, c.Name, c.Exponent, c.Enabled)).ToDictionary(c => c.Code);
        if (enabled.Count == 0)
            throw new LoadException("No currency is enabled.");
        return _options.Currencies is { Count: > 0 } codes
            ? [.. codes.Distinct().Select(code => enabled.GetValueOrDefault(code) ?? throw new LoadException($"The currency {code} is not enabled."))]
            : [.. enabled.Values];
    }

    private async Task<Wallet?> OpenHouseAccountAsync(Currency currency, string purpose)
    {
        if (_operator is null)
            return null;
        var name = $"load-{_run}-{purpose}";
        await PostAsync("/admin/accounts", _operator, LedgerClient.Body(new AccountOrder(currency.Code, name), ContractJson.Default.AccountOrder));
        return new Wallet(currency, null, name);
    }

    private async Task<Wallet> OpenCreditLineAsync(LoadUser user, Currency currency)
    {
        var opened = await PostAsync("/accounts", user.Caller, LedgerClient.Body(new AccountOrder(currency.Code, "credit"), ContractJson.Default.AccountOrder));
        var line = new Wallet(currency, user, "credit") { AccountId = opened.Read(ContractJson.Default.Account)!.Id };
        line.SetCreditLimit(4 * RequestMix.MaxAmount);
        var limit = LedgerClient.Body(new LimitOrder(currency.FormatAmount(line.CreditLimit)), ContractJson.Default.LimitOrder);
        var path = $"/admin/accounts/{line.AccountId}/limit";
        Expect(await AskAsync(HttpMethod.Put, path, _operator, limit), HttpStatusCode.OK, $"PUT {path}");
        return line;
    }

    private async Task<Answer> PostAsync(string path, Caller? caller, byte[] body) =>
        Expect(await AskAsync(HttpMethod.Post, path, caller, body), HttpStatusCode.Created, $"POST {path}");

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
    public async Task CheckBooksAsync()
    {
        await _books.CompareAsync(_users);
        if (_operator is not null)
            await _books.CompareHouseAsync(_operator, _houses, _positions, KeyValuePair.Create(RequestMix.Metadata, _run));
    }

    /// <summary>The number of users whose books cannot be compared, because an answer is missing.</summary>
    public int UsersInDoubt => _users.Count(user => user.IsInDoubt);

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
            if (request.Kind == RequestKind.ReversalTwice)
                await ReverseTwiceAsync(request, planned);
            else
                await SettleAsync(request, planned);
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

    /// <summary>Sends a request, and returns whether its command was posted; null if that is not known, and for other requests.</summary>
    private async Task<bool?> SettleAsync(PlannedRequest request, long planned)
    {
        var answer = await AskAsync(request);
        Tally.AddEnded(request.Kind, answer, Stopwatch.GetElapsedTime(planned));
        return await JudgeAsync(request, answer);
    }

    /// <summary>Sends a reversal twice at once, under two keys: one is posted, and the other is rejected.</summary>
    private async Task ReverseTwiceAsync(PlannedRequest request, long planned)
    {
        Tally.AddStarted();
        var outcomes = await Task.WhenAll(
            SettleAsync(request, planned), SettleAsync(request with { Key = request.Key is { } key ? $"{key}-again" : null }, planned));
        if (!outcomes.Contains(null) && outcomes.Count(posted => posted == true) is not 1 and var count)
            Tally.AddDiscrepancy($"Two reversals of transaction {request.Movement!.Reverses} at once: {count} were posted");
    }

    private Task<Answer> AskAsync(PlannedRequest request) =>
        AskAsync(request.Method, request.Path, request.Caller, request.Body, request.Key, request.RespondAsync);

    private async Task<Answer> AskAsync(
        HttpMethod method, string path, Caller? caller, byte[]? body = null, string? key = null, bool respondAsync = false)
    {
        var started = Stopwatch.GetTimestamp();
        var pause = TimeSpan.FromMilliseconds(100);
        while (true)
        {
            var answer = await _client.SendAsync(method, path, caller?.Bearer, body, key, respondAsync);
            if (!answer.IsOutage || !_options.TolerateOutage || Stopwatch.GetElapsedTime(started) > _options.GiveUpAfter)
                return answer;
            Tally.AddRetried();
            await Task.Delay(pause);
            pause = TimeSpan.FromMilliseconds(Math.Min(1000, pause.TotalMilliseconds * 2));
        }
    }

    private async Task<bool?> JudgeAsync(PlannedRequest request, Answer answer)
    {
        if (request.Movement is not null)
            return await JudgeCommandAsync(request, answer);
        if (!IsAsExpected(request, answer))
            return null;
        if (request.Kind == RequestKind.Replay)
            JudgeReplay(request.About!, answer);
        else if (request.Kind == RequestKind.OneTransaction && answer.Read(ContractJson.Default.TransactionBody) is var read
            && (read?.Id != request.About!.TransactionId || read.Status != (request.About.IsPosted ? "posted" : "rejected")))
            Tally.AddDiscrepancy($"GET {request.Path}: the transaction was {(request.About!.IsPosted ? "posted" : "rejected")}, but the answer is {read?.Status} with id {read?.Id}");
        return null;
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

    /// <summary>
    /// Checks the answer to a command, polls the outcome after a 202, and records it in the books. Returns whether the command was posted;
    /// null if that is not known.
    /// </summary>
    private async Task<bool?> JudgeCommandAsync(PlannedRequest request, Answer answer)
    {
        switch (answer.Status)
        {
            case HttpStatusCode.Created when answer.Read(ContractJson.Default.TransactionBody) is { } transaction:
                JudgeBody(request, transaction, "posted");
                return Decide(request, answer, transaction.Id, "posted", null);

            case HttpStatusCode.Accepted when answer.Read(ContractJson.Default.TransactionBody) is { } recorded:
                JudgeBody(request, recorded, recorded.Status);
                if (await FollowAsync(request, recorded.Id) is not { } decided)
                    break;
                JudgeBody(request, decided, decided.Status);
                return Decide(request, answer, decided.Id, decided.Status, decided.Rejection);

            case HttpStatusCode.UnprocessableEntity or HttpStatusCode.Conflict when answer.Problem is { TransactionId: { } id } problem:
                return Decide(request, answer, id, "rejected", new RejectionBody(problem.Code, problem.Index, problem.Available));

            default:
                IsAsExpected(request, answer);
                if (answer.Status is 0 or >= HttpStatusCode.InternalServerError or HttpStatusCode.Created or HttpStatusCode.Accepted)
                    break;
                if (request.Code is null)
                    request.Movement!.Release();
                request.Movement!.Vacate();
                return false;
        }
        _books.Doubt(request.Movement!);
        return null;
    }

    private bool Decide(PlannedRequest request, Answer answer, Guid id, string status, RejectionBody? rejection)
    {
        var posted = status == "posted";
        var command = new DecidedCommand(request, answer, id, posted);
        _books.Enter(request, id, posted);
        if (posted && request.Movement!.Reverses is not null)
            request.About?.MarkReversed();
        request.Movement!.Vacate();
        _mix.Remember(command);

        // Of two reversals at once either one may be the second.
        var isSecond = request.Kind == RequestKind.ReversalTwice && rejection?.Code == "already_reversed";
        if (!isSecond && (status != (request.Code is null ? "posted" : "rejected") || rejection?.Code != request.Code))
            Tally.AddDiscrepancy($"{request.Kind}, transaction {id}: expected {request.Code ?? "posted"}, got {rejection?.Code ?? status}");
        else if (request.Rejection is { } expected && (rejection?.Index != expected.Index || (expected.Available ?? rejection?.Available) != rejection?.Available))
            Tally.AddDiscrepancy($"{request.Kind}, transaction {id}: expected {expected}, got {rejection}");
        return posted;
    }

    private void JudgeBody(PlannedRequest request, TransactionBody transaction, string status)
    {
        var movement = request.Movement!;
        if (transaction.Status != status || transaction.Kind != movement.Kind || transaction.Currency != movement.Currency.Code
            || transaction.Amount != movement.Currency.FormatAmount(movement.Amount) || transaction.Reference != movement.Reference
            || transaction.Reverses != movement.Reverses
            || !transaction.Entries.Select(e => (e.Currency, e.Amount)).SequenceEqual(transaction.Status == "posted" ? movement.EntriesFor(movement.Owner) : []))
            Tally.AddDiscrepancy($"{request.Kind}, transaction {transaction.Id}: the answer differs from the request: {transaction}");
    }

    private void JudgeReplay(DecidedCommand first, Answer answer)
    {
        if (!answer.Replayed)
            Tally.AddDiscrepancy($"Replay of transaction {first.TransactionId}: the header Idempotency-Replayed is missing");
        // The bodies can differ: a problem contains its own trace id, a 202 becomes a 201 or 422 once decided, and a decided transaction
        // gets its place in the journal a moment later, and the id of its reversal.
        var same = answer.Status != HttpStatusCode.Created
            ? answer.Problem.TransactionId == first.TransactionId && (first.Answer.Status == HttpStatusCode.Accepted || answer.Problem.Available == first.Answer.Problem.Available)
            : first.Answer.Status == HttpStatusCode.Accepted
                ? answer.Read(ContractJson.Default.TransactionBody)?.Id == first.TransactionId
                : WithoutLaterFields(answer.Body) == WithoutLaterFields(first.Answer.Body);
        if (!same)
            Tally.AddDiscrepancy($"Replay of transaction {first.TransactionId}: the answer differs from the first one");
    }

    private static string WithoutLaterFields(byte[] body) => LaterFields().Replace(Encoding.UTF8.GetString(body), "");

    [GeneratedRegex("""("sequence":(null|[0-9]+)|"reversedBy":(null|"[^"]*")),""")]
    private static partial Regex LaterFields();

    /// <summary>Polls a command that was answered 202 until it is decided; null, with a discrepancy, after the time limit.</summary>
    private async Task<TransactionBody?> FollowAsync(PlannedRequest request, Guid id)
    {
        var started = Stopwatch.GetTimestamp();
        var pause = TimeSpan.FromMilliseconds(20);
        while (Stopwatch.GetElapsedTime(started) < _options.GiveUpAfter)
        {
            var answer = await AskAsync(HttpMethod.Get, $"/transactions/{id}", request.Reader);
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

    private async Task<TimeSpan> LogInAsync(Caller caller)
    {
        var answer = await AskAsync(HttpMethod.Post, "/identity/login", null, LedgerClient.Body(caller.Credentials!, ContractJson.Default.Credentials));
        var tokens = Expect(answer, HttpStatusCode.OK, $"POST /identity/login of {caller.Credentials!.Email}").Read(ContractJson.Default.Tokens)!;
        caller.Bearer = $"Bearer {tokens.AccessToken}";
        return TimeSpan.FromSeconds(tokens.ExpiresIn);
    }

    /// <summary>Logs the users and the operator in again before their tokens expire.</summary>
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
                foreach (var caller in _users.Select(user => user.Caller).Append(_operator).OfType<Caller>())
                    lifetime = await LogInAsync(caller);
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
