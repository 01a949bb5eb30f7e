using System.Globalization;
using Ledger.Core.Identity;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Transactions;

/// <summary>Transactions are found by reference, metadata and amount.</summary>
public sealed class TransactionSearchTests(LedgerSystem system)
{
    [Fact]
    public async Task Reference_finds_what_the_user_sent_and_received()
    {
        var (user, other) = (await system.NewUserAsync("50.00"), await system.NewUserAsync("50.00"));
        var reference = $"Invoice {Guid.NewGuid():N} ü&=";
        var sent = (await user.TransferAsync(other.Id.ToString(), "1.00", reference: reference)).MustBe(201).TransactionId;
        var received = (await other.TransferAsync(user.Id.ToString(), "2.00", reference: reference)).MustBe(201).TransactionId;
        var rejected = (await user.WithdrawAsync("1000.00", reference: reference)).MustBe(422, "insufficient_funds").TransactionId;
        (await user.DepositAsync("3.00", reference: reference + "x")).MustBe(201);
        (await other.DepositAsync("3.00", reference: reference)).MustBe(201);

        var query = $"reference={Uri.EscapeDataString(reference)}";
        Assert.Equal([rejected, received, sent], await ListAsync(user, query));
        Assert.Equal([received, sent], await ListAsync(user, query + "&kind=transfer"));
        Assert.Equal([rejected], await ListAsync(user, query + "&status=rejected"));
        Assert.Equal([received], await ListAsync(user, query + "&minAmount=1.01&currency=USD&status=posted"));
        Assert.Equal([], await ListAsync(user, query + "&currency=EUR"));
        Assert.Equal([], await ListAsync(user, query.ToUpperInvariant().Replace("REFERENCE", "reference", StringComparison.Ordinal)));
        var first = (await user.GetAsync($"transactions?{query}&limit=1")).MustBe(200);
        Assert.Equal([received, sent], await ListAsync(user, $"{query}&cursor={first["nextCursor"]}"));
    }

    [Fact]
    public async Task Metadata_finds_what_the_user_sent_and_nothing_that_it_received()
    {
        var (user, other) = (await system.NewUserAsync("50.00"), await system.NewUserAsync());
        var order = Guid.NewGuid().ToString();
        var both = (await user.TransferAsync(other.Id.ToString(), "1.00", metadata: new Dictionary<string, string> { ["order"] = order, ["a\"b]["] = "%_\\" })).MustBe(201).TransactionId;
        var one = (await user.DepositAsync("2.00", metadata: new { order })).MustBe(201).TransactionId;
        var rejected = (await user.WithdrawAsync("1000.00", metadata: new { order })).MustBe(422, "insufficient_funds").TransactionId;
        (await other.DepositAsync("2.00", metadata: new { order = order + "x" })).MustBe(201);

        Assert.Equal([rejected, one, both], await ListAsync(user, $"metadata[order]={order}"));
        Assert.Equal([both], await ListAsync(user, $"metadata[order]={order}&metadata[a%22b%5D%5B]=%25_%5C"));
        Assert.Equal([one], await ListAsync(user, $"metadata%5Border%5D={order}&kind=deposit"));
        Assert.Equal([], await ListAsync(user, $"metadata[order]={order}&metadata[a]=b"));
        Assert.Equal([], await ListAsync(user, $"metadata[order]={order.ToUpperInvariant()}"));
        Assert.Equal([], await ListAsync(user, "metadata[owner]=" + user.Id));
        Assert.Equal([], await ListAsync(other, $"metadata[order]={order}"));
    }

    [Fact]
    public async Task Amounts_narrow_the_list_to_a_range()
    {
        var user = await system.NewUserAsync();
        var ids = new List<Guid>();
        foreach (var amount in (string[])["1.00", "2.00", "2.01", "30.00"])
            ids.Insert(0, (await user.DepositAsync(amount)).MustBe(201).TransactionId);
        (await user.DepositAsync("2.00", "EUR")).MustBe(201);

        Assert.Equal(ids[..3], await ListAsync(user, "currency=USD&minAmount=2"));
        Assert.Equal(ids[2..], await ListAsync(user, "currency=USD&maxAmount=2.00"));
        Assert.Equal(ids[1..3], await ListAsync(user, "currency=USD&minAmount=2.00&maxAmount=2.01"));
        Assert.Equal([], await ListAsync(user, "currency=USD&minAmount=30.01"));
        var page = (await user.GetAsync("transactions?currency=USD&minAmount=2&limit=2")).MustBe(200);
        Assert.Equal([ids[2]], await ListAsync(user, $"currency=USD&minAmount=2&cursor={page["nextCursor"]}"));
    }

    [Fact]
    public async Task Time_of_effect_finds_back_dated_transactions_where_they_take_effect()
    {
        var (op, user) = (await system.NewOperatorAsync(), await system.NewUserAsync());
        var reference = Guid.NewGuid().ToString();
        var plain = (await user.DepositAsync("1.00", reference: reference)).MustBe(201);
        var late = (await op.PostAsync("deposits", new { currency = "USD", amount = "2.00", onBehalfOf = user.Id, effectiveAt = "2024-01-31T12:00:00Z", reference })).MustBe(201).TransactionId;
        var rejected = (await op.PostAsync("withdrawals", new { currency = "USD", amount = "9.00", onBehalfOf = user.Id, effectiveAt = "2024-01-31T12:00:00Z", reference })).MustBe(422, "insufficient_funds").TransactionId;

        foreach (var search in (string[])["", $"&reference={reference}"])
        {
            Assert.Equal([late], await ListAsync(user, "by=effective&from=2024-01-31T12:00:00Z&to=2024-01-31T12:00:00.000001Z" + search));
            Assert.Equal([], await ListAsync(user, "by=effective&to=2024-01-31T12:00:00Z" + search));
            Assert.Equal([late, plain.TransactionId], await ListAsync(user, "by=effective&from=2024-01-31T12:00:00Z" + search));
            Assert.Equal([plain.TransactionId], await ListAsync(user, $"by=effective&from={plain["postedAt"]}" + search));
            Assert.Equal([late], await ListAsync(user, $"by=effective&to={plain["postedAt"]}" + search));
            Assert.Equal([rejected, late, plain.TransactionId], await ListAsync(user, "by=effective" + search));
            Assert.Equal([], await ListAsync(user, $"by=posted&to={plain["postedAt"]}" + search));
        }
        Assert.Equal([late], await ListAsync(op, $"by=effective&to={plain["postedAt"]}&reference={reference}"));
        var first = (await user.GetAsync("transactions?by=effective&from=2024-01-01T00:00:00Z&limit=1")).MustBe(200);
        Assert.Equal([plain.TransactionId], await ListAsync(user, $"by=effective&from=2024-01-01T00:00:00Z&cursor={first["nextCursor"]}"));
    }

    [Fact]
    public async Task Journal_with_more_entries_on_an_account_than_a_page_has_items_is_listed_once_and_hides_no_other()
    {
        var (op, user) = (await system.NewOperatorAsync(), await system.NewUserAsync());
        var deposit = (await user.DepositAsync("1.00")).MustBe(201).TransactionId;
        var postings = Enumerable.Range(1, 12).Select(_ => new { from = "world", to = $"user:{user.Id}", currency = "USD", amount = "1.00" });
        var journal = (await op.PostAsync("transactions", new { postings })).MustBe(201).TransactionId;

        Assert.Equal([journal, deposit], await ListAsync(user, "limit=5"));
        var first = (await user.GetAsync("transactions?limit=1")).MustBe(200);
        Assert.Equal([journal], IdsOf(first));
        Assert.Equal([deposit], await ListAsync(user, $"limit=1&cursor={first["nextCursor"]}"));
    }

    [Fact]
    public async Task Pending_transaction_is_found_by_each_filter()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 0);
        var user = await system.NewUserAsync();
        var pending = market.Deposit(user.Id, 1234) with { Reference = "Invoice 7", Metadata = """{"order":"7","a":"b"}""" };
        await PendingCommands.RecordAsync(market.Database, pending, TimeSpan.FromHours(1), CancellationToken.None);

        foreach (var found in (string[])["reference=Invoice 7", "metadata[order]=7", $"currency={market.Currency}&minAmount=12.34&maxAmount=12.34"])
            Assert.Equal([pending.Id], await ListAsync(user, found));
        foreach (var missed in (string[])["reference=Invoice", "metadata[order]=8", $"currency={market.Currency}&minAmount=12.35", $"currency={market.Currency}&maxAmount=12.33"])
            Assert.Equal([], await ListAsync(user, missed));
        await Books.ExecuteAsync(market.Database, "delete from ledger.pending_commands where id = $1", pending.Id);
    }

    [Fact]
    public async Task Staff_and_services_that_read_search_in_the_transactions_of_all_users()
    {
        var (user, other) = (await system.NewUserAsync("9.00"), await system.NewUserAsync());
        var order = Guid.NewGuid().ToString("N");
        var deposit = (await other.DepositAsync("1.00", reference: order)).MustBe(201).TransactionId;
        var transfer = (await user.TransferAsync(other.Id.ToString(), "2.00", reference: order, metadata: new { order })).MustBe(201).TransactionId;
        var (auditor, service, mover) = (await system.NewStaffAsync(Roles.Auditor), await system.NewServiceAsync(Scopes.Read), await system.NewServiceAsync(Scopes.Transactions));

        foreach (var (api, token) in new[] { (auditor.Api, auditor.Token), (service.Api, service.Key) })
        {
            var first = (await api.GetAsync($"transactions?reference={order}&limit=1", token)).MustBe(200);
            var item = Assert.Single(first.Json.GetProperty("items").EnumerateArray());
            Assert.Equal(transfer, item.GetProperty("id").GetGuid());
            Assert.Equal(order, item.GetProperty("metadata").GetProperty("order").GetString());
            Assert.Equal(["-2.00", "2.00"], item.GetProperty("entries").EnumerateArray().Select(entry => entry.GetProperty("amount").GetString()).Order());
            Assert.Equal([deposit], IdsOf(await api.GetAsync($"transactions?reference={order}&cursor={first["nextCursor"]}", token)));
            Assert.Equal([transfer], IdsOf(await api.GetAsync($"transactions?metadata[order]={order}", token)));
            Assert.Equal([transfer], IdsOf(await api.GetAsync($"transactions?metadata[order]={order}&reference={order}&currency=USD&minAmount=2&maxAmount=2&kind=transfer&status=posted", token)));
            Assert.Equal([], IdsOf(await api.GetAsync($"transactions?reference={order}&to=2026-01-01T00:00:00Z&by=created", token)));
            Assert.Equal([deposit, transfer], IdsOf(await api.GetAsync($"transactions?reference={order}&onBehalfOf={other.Id}", token)).Order());
            // What the user did not send is not found by its metadata.
            Assert.Equal([], IdsOf(await api.GetAsync($"transactions?metadata[order]={order}&onBehalfOf={other.Id}", token)));
            Assert.Equal("status", FieldOf(await api.GetAsync($"transactions?reference={order}&status=pending", token)));
        }
        Assert.Equal("onBehalfOf", FieldOf(await service.GetAsync("transactions?currency=USD&minAmount=1")));
        (await mover.GetAsync($"transactions?reference={order}")).MustBe(403, "forbidden");
        Assert.Equal([], await ListAsync(await system.NewUserAsync(), $"reference={order}"));
        Assert.Equal([], await ListAsync(await system.NewUserAsync(), $"metadata[order]={order}"));
    }

    [Theory]
    [InlineData("reference=", "reference")]
    [InlineData("reference=%00", "reference")]
    [InlineData("reference=a&reference=b", "reference")]
    [InlineData("metadata=a", "metadata")]
    [InlineData("metadata[]=a", "metadata")]
    [InlineData("metadata[a]=%00", "metadata")]
    [InlineData("metadata[a]=b&metadata[a]=c", "metadata[a]")]
    [InlineData("metadata[a=b", "metadata[a")]
    [InlineData("metadatas[a]=b", "metadatas[a]")]
    [InlineData("minAmount=1", "currency")]
    [InlineData("maxAmount=1", "currency")]
    [InlineData("maxAmount=1&currency=usd", "currency")]
    [InlineData("maxAmount=1&currency=XXX", "currency")]
    [InlineData("minAmount=1.001&currency=USD", "minAmount")]
    [InlineData("minAmount=-1&currency=USD", "minAmount")]
    [InlineData("maxAmount=1e3&currency=USD", "maxAmount")]
    [InlineData("maxAmount=&currency=USD", "maxAmount")]
    [InlineData("maxAmount=0&currency=USD", "maxAmount")]
    [InlineData("minAmount=2&maxAmount=1.99&currency=USD", "minAmount")]
    public async Task Invalid_filter_is_named(string query, string field) =>
        Assert.Equal(field, FieldOf(await (await system.NewUserAsync()).GetAsync($"transactions?{query}")));

    [Fact]
    public async Task Texts_that_are_too_long_are_refused()
    {
        var user = await system.NewUserAsync();
        Assert.Equal("reference", FieldOf(await user.GetAsync($"transactions?reference={new string('a', 256)}")));
        Assert.Equal("metadata", FieldOf(await user.GetAsync($"transactions?metadata[{new string('a', 41)}]=b")));
        Assert.Equal("metadata", FieldOf(await user.GetAsync($"transactions?metadata[a]={new string('b', 501)}")));
        Assert.Equal([], await ListAsync(user, string.Create(CultureInfo.InvariantCulture, $"reference={new string('a', 255)}&metadata[a]={new string('b', 500)}")));
    }

    private static async Task<IReadOnlyList<Guid>> ListAsync(LedgerUser user, string query) => IdsOf(await user.GetAsync($"transactions?{query}"));

    private static IReadOnlyList<Guid> IdsOf(Answer answer) => [.. answer.MustBe(200).Json.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetGuid())];

    private static string FieldOf(Answer answer) => Assert.Single(answer.MustBe(400, "validation_failed").Json.GetProperty("errors").EnumerateObject()).Name;
}
