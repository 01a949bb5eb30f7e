using Ledger.Api.Identity;
using Ledger.Api.Transactions;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Ledger.Worker.Posting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Ledger.Tests.Transactions;

/// <summary>Pages and filters of a user's list of transactions.</summary>
public sealed class TransactionListTests(LedgerSystem system)
{
    [Fact]
    public async Task Pages_list_all_transactions_newest_first()
    {
        var user = await system.NewUserAsync();
        var sent = new List<Guid>();
        for (var i = 1; i <= 7; i++)
            sent.Insert(0, (await user.DepositAsync($"{i}.00")).MustBe(201).TransactionId);

        foreach (var limit in (int[])[1, 2, 3, 7, 1000])
        {
            var listed = new List<Guid>();
            string? cursor = null;
            var pages = 0;
            do
            {
                var page = (await user.GetAsync($"transactions?limit={limit}" + (cursor is null ? "" : $"&cursor={cursor}"))).MustBe(200);
                var ids = page.Json.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetGuid()).ToList();
                Assert.InRange(ids.Count, 1, limit);
                listed.AddRange(ids);
                cursor = page.Json.GetProperty("nextCursor").GetString();
                Assert.True(++pages <= 7, "The pages do not end.");
            }
            while (cursor is not null);
            Assert.Equal(sent, listed);
            Assert.Equal((7 + limit - 1) / limit, pages);
        }
    }

    [Fact]
    public async Task Pages_list_sent_received_and_rejected_transactions_once_each()
    {
        var (user, other) = (await system.NewUserAsync("50.00"), await system.NewUserAsync("50.00"));
        await user.DepositAsync("20.00", "EUR");
        var expected = (await ListAsync(user, 1000)).ToList();
        Assert.Equal(2, expected.Count);
        for (var i = 0; i < 4; i++)
        {
            expected.Insert(0, (await user.TransferAsync(other, "1.00")).MustBe(201).TransactionId);
            expected.Insert(0, (await user.WithdrawAsync("1000.00", "EUR")).MustBe(422).TransactionId);
            expected.Insert(0, (await other.TransferAsync(user, "2.00")).MustBe(201).TransactionId);
            expected.Insert(0, (await user.WithdrawAsync("1.00", "EUR")).MustBe(201).TransactionId);
            Assert.Equal("insufficient_funds", (await other.TransferAsync(user, "1000.00")).MustBe(422)["code"]);
        }

        foreach (var limit in (int[])[1, 2, 5, 18, 1000])
            Assert.Equal(expected, await ListAsync(user, limit));

        static async Task<IEnumerable<Guid>> ListAsync(LedgerUser user, int limit)
        {
            var listed = new List<Guid>();
            string? cursor = null;
            do
            {
                var page = (await user.GetAsync($"transactions?limit={limit}" + (cursor is null ? "" : $"&cursor={cursor}"))).MustBe(200);
                listed.AddRange(page.Json.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetGuid()));
                cursor = page.Json.GetProperty("nextCursor").GetString();
            }
            while (cursor is not null);
            return listed;
        }
    }

    [Fact]
    public async Task Listed_transaction_equals_the_answered_one()
    {
        var user = await system.NewUserAsync();
        var deposit = (await user.DepositAsync("1.00", reference: "r", metadata: new { a = "b" })).MustBe(201);

        var listed = Assert.Single((await user.GetAsync("transactions")).MustBe(200).Json.GetProperty("items").EnumerateArray());

        Assert.Equal(deposit.Text, listed.GetRawText());
    }

    [Fact]
    public async Task A_transaction_that_is_decided_late_is_in_the_list_by_its_time_of_posting_and_in_none_before()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 0);
        var user = await system.NewUserAsync();
        // Created long before it is posted, and others are posted in between: a poller by time has seen those.
        var late = market.Deposit(user.Id, 100) with { CreatedAt = DateTime.UtcNow.AddHours(-1) };
        var first = (await user.DepositAsync("1.00")).MustBe(201);
        await PendingCommands.RecordAsync(market.Database, late, TimeSpan.FromHours(1), CancellationToken.None);
        Assert.Contains(late.Id, await ListAsync(""));
        Assert.Contains(late.Id, await ListAsync("by=created&to=2100-01-01T00:00:00Z"));
        Assert.DoesNotContain(late.Id, await ListAsync("to=2100-01-01T00:00:00Z"));
        await using (var poster = new BatchPoster(market.Database, Options.Create(new WorkerOptions()), NullLogger<BatchPoster>.Instance))
            await poster.PostAsync(new[] { late }, CancellationToken.None);

        Assert.Equal([late.Id, first.TransactionId], await ListAsync($"from={first["postedAt"]}"));
        Assert.Equal([first.TransactionId], await ListAsync($"by=created&from={first["createdAt"]}"));

        async Task<IEnumerable<Guid>> ListAsync(string query) =>
            (await user.GetAsync($"transactions?{query}")).MustBe(200).Json.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetGuid());
    }

    [Fact]
    public async Task Filters_narrow_the_list()
    {
        var (user, other) = (await system.NewUserAsync(), await system.NewUserAsync("9.00"));
        var dollars = (await user.DepositAsync("10.00")).MustBe(201);
        var euros = (await user.DepositAsync("10.00", "EUR")).MustBe(201);
        var withdrawal = (await user.WithdrawAsync("1.00")).MustBe(201);
        var rejected = (await user.WithdrawAsync("100.00")).MustBe(422, "insufficient_funds");
        var received = (await other.TransferAsync(user, "2.00")).MustBe(201);
        var (d, e, w, r, t) = (dollars.TransactionId, euros.TransactionId, withdrawal.TransactionId, rejected.TransactionId, received.TransactionId);

        Assert.Equal([t, r, w, e, d], await ListAsync(""));
        Assert.Equal([t, r, w, d], await ListAsync("currency=USD"));
        Assert.Equal([e], await ListAsync("currency=EUR"));
        Assert.Equal([], await ListAsync("currency=XXX"));
        Assert.Equal([r, w], await ListAsync("kind=withdrawal"));
        Assert.Equal([t], await ListAsync("kind=transfer"));
        Assert.Equal([r], await ListAsync("status=rejected"));
        Assert.Equal([t, w, e, d], await ListAsync("status=posted"));
        Assert.Equal([], await ListAsync("status=pending"));
        Assert.Equal([w], await ListAsync("status=posted&kind=withdrawal&currency=USD"));
        Assert.Equal([t, r, w], await ListAsync($"from={withdrawal["createdAt"]}&by=created"));
        Assert.Equal([e, d], await ListAsync($"to={withdrawal["createdAt"]}&by=created"));
        Assert.Equal([e], await ListAsync($"from={euros["createdAt"]}&to={withdrawal["createdAt"]}&by=created"));
        foreach (var by in new[] { "", "&by=posted" })
        {
            Assert.Equal([t, r, w], await ListAsync($"from={withdrawal["postedAt"]}{by}"));
            Assert.Equal([e, d], await ListAsync($"to={withdrawal["postedAt"]}{by}"));
            Assert.Equal([e], await ListAsync($"from={euros["postedAt"]}&to={withdrawal["postedAt"]}{by}"));
        }
        var page = (await user.GetAsync("transactions?limit=3")).MustBe(200);
        Assert.Equal([e, d], await ListAsync($"cursor={page["nextCursor"]}"));
        Assert.Equal([d], await ListAsync($"cursor={page["nextCursor"]}&currency=USD"));

        async Task<IEnumerable<Guid>> ListAsync(string query) =>
            (await user.GetAsync($"transactions?{query}")).MustBe(200).Json.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetGuid()).ToArray();
    }

    /// <summary>An account may have millions of entries.</summary>
    [Fact]
    public async Task List_of_rejected_transactions_reads_no_entries()
    {
        const int Batches = 100, BatchSize = 20;
        await using var database = await system.FreshLedgerAsync();
        var market = await Market.OpenAsync(database, users: 1);
        var user = market.Users[0];
        var tooMuch = market.Withdrawal(user, Currency.MaxAmount);
        await using (var poster = new BatchPoster(database, Options.Create(new WorkerOptions()), NullLogger<BatchPoster>.Instance))
        {
            for (var i = 0; i < Batches; i++)
                await poster.PostAsync(Enumerable.Range(0, BatchSize).Select(_ => market.Deposit(user, 1)).ToArray(), CancellationToken.None);
            await poster.PostAsync(new[] { tooMuch }, CancellationToken.None);
        }
        await Books.ExecuteAsync(database, "analyze");
        var before = await EntriesReadAsync();

        var listed = await new TransactionQueries(database).ListAsync(
            new Acting(user, user), new TransactionFilter { Status = TransactionStatus.Rejected }, limit: 50, CancellationToken.None);

        Assert.Equal(tooMuch.Id, Assert.Single(listed).Id);
        Assert.InRange(await EntriesReadAsync() - before, 0, BatchSize);

        // PostgreSQL reports the counts of a connection when it is closed.
        async Task<long> EntriesReadAsync()
        {
            await Eventually.TrueAsync(async () => await Books.NumberAsync(
                database, "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'") == 0);
            return await Books.NumberAsync(database, "select (seq_tup_read + idx_tup_fetch)::bigint from pg_stat_user_tables where relid = 'ledger.entries'::regclass");
        }
    }

    [Theory]
    [InlineData("limit=0", "limit")]
    [InlineData("limit=1001", "limit")]
    [InlineData("limit=-1", "limit")]
    [InlineData("limit=ten", "limit")]
    [InlineData("limit=", "limit")]
    [InlineData("limit=99999999999999", "limit")]
    [InlineData("cursor=x", "cursor")]
    [InlineData("cursor=", "cursor")]
    [InlineData("cursor=01900000-0000-7000-8000-000000000001.", "cursor")]
    [InlineData("cursor=01900000-0000-7000-8000-000000000001.9223372036854775807", "cursor")]
    [InlineData("kind=gift", "kind")]
    [InlineData("kind=Deposit", "kind")]
    [InlineData("status=done", "status")]
    [InlineData("from=yesterday", "from")]
    [InlineData("to=2026-01-31", "to")]
    [InlineData("by=effect", "by")]
    [InlineData("currency=%00", "currency")]
    public async Task Invalid_query_parameter_is_named(string query, string field)
    {
        var answer = (await (await system.NewUserAsync()).GetAsync($"transactions?{query}")).MustBe(400, "validation_failed");
        Assert.Equal(field, Assert.Single(answer.Json.GetProperty("errors").EnumerateObject()).Name);
    }

    [Theory]
    [InlineData("01900000-0000-7000-8000-000000000001")]
    [InlineData("not-an-id")]
    public async Task Unknown_transaction_is_not_found(string id) =>
        (await (await system.NewUserAsync()).GetAsync($"transactions/{id}")).MustBe(404, "not_found");
}
