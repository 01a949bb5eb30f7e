using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json;
using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Accounts;

/// <summary>Statements of accounts, as JSON in pages and as CSV.</summary>
public sealed class StatementTests(LedgerSystem system)
{
    private const string Header = "postedAt,effectiveAt,transactionId,kind,amount,balanceAfter,currency,reference";

    [Fact]
    public async Task Statement_has_all_entries_in_the_order_of_posting_between_its_balances()
    {
        var (user, other) = (await system.NewUserAsync(), await system.NewUserAsync("5.00"));
        var deposit = (await user.DepositAsync("10.00", reference: "Salary")).MustBe(201);
        var withdrawal = (await user.WithdrawAsync("1.50")).MustBe(201);
        (await user.WithdrawAsync("100.00")).MustBe(422, "insufficient_funds");
        var received = (await other.TransferAsync(user, "2.00")).MustBe(201);

        var statement = (await user.GetAsync($"accounts/{await AccountAsync(user)}/entries")).MustBe(200);

        Assert.Equal(["accountId", "currency", "openingBalance", "closingBalance", "items", "nextCursor"], statement.Json.EnumerateObject().Select(field => field.Name));
        Assert.Equal(("USD", "0.00", "10.50", ""), (statement["currency"], statement["openingBalance"], statement["closingBalance"], statement["nextCursor"]));
        Assert.Equal(
            [
                $"{deposit.TransactionId} deposit 10.00 10.00 {deposit["postedAt"]} {deposit["postedAt"]} Salary",
                $"{withdrawal.TransactionId} withdrawal -1.50 8.50 {withdrawal["postedAt"]} {withdrawal["postedAt"]} ",
                $"{received.TransactionId} transfer 2.00 10.50 {received["postedAt"]} {received["postedAt"]} ",
            ],
            ItemsOf(statement).Select(item => string.Join(' ', item.EnumerateObject().Select(field => field.Value.ToString()))));
    }

    [Fact]
    public async Task Period_includes_an_entry_at_its_start_and_excludes_one_at_its_end()
    {
        var user = await system.NewUserAsync();
        var times = new List<string>();
        for (var i = 1; i <= 4; i++)
            times.Add((await user.DepositAsync($"{i}.00")).MustBe(201)["postedAt"]!);
        var account = await AccountAsync(user);

        Assert.Equal("1.00 6.00: 2.00 3.00", await OfAsync($"from={times[1]}&to={times[3]}"));
        Assert.Equal("0.00 1.00: 1.00", await OfAsync($"to={times[1]}"));
        Assert.Equal("6.00 10.00: 4.00", await OfAsync($"from={times[3]}"));
        Assert.Equal("3.00 3.00: ", await OfAsync($"from={times[2]}&to={times[2]}"));
        Assert.Equal("0.00 0.00: ", await OfAsync($"from=2020-01-01T00:00:00Z&to={times[0]}"));
        Assert.Equal("0.00 1.00: 1.00", await OfAsync($"from={times[0]}&to={Later(times[0])}&by=posted"));
        Assert.Equal("1.00 10.00: 2.00 3.00 4.00", await OfAsync($"from={Later(times[0])}"));
        Assert.Equal("0.00 10.00: 1.00 2.00 3.00 4.00", await OfAsync("from=0001-01-01T00:00:00Z"));

        async Task<string> OfAsync(string query)
        {
            var answer = (await user.GetAsync($"accounts/{account}/entries?{query}")).MustBe(200);
            var amounts = ItemsOf(answer).Select(item => item.GetProperty("amount").GetString());
            var csv = RowsOf((await CsvAsync(user.Api, user.Token, $"accounts/{account}/entries?{query}")).Text);
            Assert.Equal(amounts, csv[2..^1].Select(row => row[4]));
            Assert.Equal((answer["openingBalance"], answer["closingBalance"]), (csv[1][5], csv[^1][5]));
            return $"{answer["openingBalance"]} {answer["closingBalance"]}: {string.Join(' ', amounts)}";
        }

        static string Later(string time) =>
            DateTime.Parse(time, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal).AddMicroseconds(1).ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);
    }

    [Fact]
    public async Task Account_without_entries_has_an_empty_statement()
    {
        var user = await system.NewUserAsync();
        var account = Guid.CreateVersion7();
        await Books.ExecuteAsync(
            await system.DatabaseAsync(), "insert into ledger.accounts (id, kind, owner_id, name, currency) values ($1, 'user', $2, 'main', 'JPY')", account, user.Id);

        foreach (var query in (string[])["", "?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z"])
        {
            var statement = (await user.GetAsync($"accounts/{account}/entries{query}")).MustBe(200);
            Assert.Equal($$"""{"accountId":"{{account}}","currency":"JPY","openingBalance":"0","closingBalance":"0","items":[],"nextCursor":null}""", statement.Text);
            Assert.Equal(
                $"{Header}\r\n,,,opening_balance,,0,JPY,\r\n,,,closing_balance,,0,JPY,\r\n", (await CsvAsync(user.Api, user.Token, $"accounts/{account}/entries{query}")).Text);
        }
    }

    [Fact]
    public async Task Pages_stay_as_they_are_while_new_entries_arrive()
    {
        var (user, other) = (await system.NewUserAsync(), await system.NewUserAsync("100.00"));
        var deposits = new List<Guid>();
        for (var i = 1; i <= 5; i++)
            deposits.Add((await user.DepositAsync($"{i}.00")).MustBe(201).TransactionId);
        var account = await AccountAsync(user);
        var listed = new List<Guid>();
        string? cursor = null;
        do
        {
            var page = (await user.GetAsync($"accounts/{account}/entries?limit=2" + (cursor is null ? "" : $"&cursor={cursor}"))).MustBe(200);
            Assert.Equal(("0.00", "15.00"), (page["openingBalance"], page["closingBalance"]));
            listed.AddRange(ItemsOf(page).Select(item => item.GetProperty("transactionId").GetGuid()));
            cursor = page.Json.GetProperty("nextCursor").GetString();
            (await other.TransferAsync(user, "0.10")).MustBe(201);
        }
        while (cursor is not null);
        Assert.Equal(deposits, listed);
    }

    /// <summary>Read while others pay into the account: the balances and the amounts belong together on every page of every statement.</summary>
    [Fact]
    public async Task Opening_balance_and_all_amounts_sum_to_the_closing_balance_while_others_pay()
    {
        var (user, other) = (await system.NewUserAsync("1.00"), await system.NewUserAsync("100.00"));
        var account = await AccountAsync(user);
        using var over = new CancellationTokenSource();
        var paying = Task.Run(async () =>
        {
            while (!over.IsCancellationRequested)
                (await other.TransferAsync(user, "0.01")).MustBe(201);
        });
        for (var statements = 0; statements < 20; statements++)
        {
            var from = statements % 2 == 0 ? null : (await user.GetAsync("transactions?limit=5")).MustBe(200).Json.GetProperty("items").EnumerateArray().Last().GetProperty("postedAt").GetString();
            decimal? running = null;
            string? cursor = null;
            do
            {
                var page = (await user.GetAsync($"accounts/{account}/entries?limit=3{(from is null ? "" : $"&from={from}")}{(cursor is null ? "" : $"&cursor={cursor}")}")).MustBe(200);
                running ??= page.AmountOf("openingBalance");
                foreach (var item in ItemsOf(page))
                {
                    running += Amount(item, "amount");
                    Assert.Equal(running, Amount(item, "balanceAfter"));
                }
                cursor = page.Json.GetProperty("nextCursor").GetString();
                if (cursor is null)
                    Assert.Equal(page.AmountOf("closingBalance"), running);
            }
            while (cursor is not null);

            var rows = RowsOf((await CsvAsync(user.Api, user.Token, $"accounts/{account}/entries")).Text);
            Assert.Equal(decimal.Parse(rows[^1][5], CultureInfo.InvariantCulture), rows[2..^1].Sum(row => decimal.Parse(row[4], CultureInfo.InvariantCulture)));
        }
        await over.CancelAsync();
        await paying;

        static decimal Amount(JsonElement item, string name) => decimal.Parse(item.GetProperty(name).GetString()!, CultureInfo.InvariantCulture);
    }

    [Fact]
    public async Task Account_of_another_user_is_not_found()
    {
        var (owner, stranger) = (await system.NewUserAsync("1.00"), await system.NewUserAsync("1.00"));
        var (account, own) = (await AccountAsync(owner), await AccountAsync(stranger));
        var database = await system.DatabaseAsync();
        var house = Guid.CreateVersion7();
        await Books.ExecuteAsync(database, "insert into ledger.accounts (id, kind, name, currency) values ($1, 'house', $1::text, 'USD')", house);
        var shard = (await Books.TextsAsync(database, "select id::text from ledger.accounts where kind = 'settlement' and currency = 'USD' limit 1")).Single();
        var (auditor, service) = (await system.NewStaffAsync(Roles.Auditor), await system.NewServiceAsync(Scopes.Read));

        (await stranger.GetAsync($"accounts/{account}/entries")).MustBe(404, "not_found");
        (await CsvAsync(stranger.Api, stranger.Token, $"accounts/{account}/entries")).MustBe(404, "not_found");
        (await stranger.GetAsync($"accounts/{house}/entries")).MustBe(404, "not_found");
        (await stranger.GetAsync($"accounts/{account}/entries?onBehalfOf={owner.Id}")).MustBe(403, "forbidden");
        // An own account, with a place of another's.
        (await stranger.GetAsync($"accounts/{own}/entries?limit=1")).MustBe(200);
        (await service.GetAsync($"accounts/{account}/entries?onBehalfOf={stranger.Id}")).MustBe(404, "not_found");
        (await auditor.GetAsync($"accounts/{account}/entries?onBehalfOf={stranger.Id}")).MustBe(404, "not_found");
        (await (await system.NewServiceAsync(Scopes.Transactions)).GetAsync($"accounts/{account}/entries?onBehalfOf={owner.Id}")).MustBe(403, "forbidden");
        foreach (var (api, token) in new[] { (auditor.Api, auditor.Token), (service.Api, service.Key) })
        {
            foreach (var query in (string[])["", $"?onBehalfOf={owner.Email}"])
                Assert.Equal("1.00", (await api.GetAsync($"accounts/{account}/entries{query}", token)).MustBe(200)["closingBalance"]);
            (await api.GetAsync($"accounts/{house}/entries", token)).MustBe(200);
            // The entries of shards say no balance.
            (await api.GetAsync($"accounts/{shard}/entries", token)).MustBe(404, "not_found");
        }
    }

    [Theory]
    [InlineData("to=2100-01-01T00:00:00Z", "to")]
    [InlineData("from=2100-01-01T00:00:00Z", "from")]
    [InlineData("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from")]
    [InlineData("to=yesterday", "to")]
    [InlineData("by=effect", "by")]
    [InlineData("by=created", "by")]
    [InlineData("limit=0", "limit")]
    [InlineData("cursor=", "cursor")]
    [InlineData("cursor=1", "cursor")]
    [InlineData("cursor=1.2.3", "cursor")]
    [InlineData("cursor=9223372036854775807.1.1", "cursor")]
    [InlineData("by=effective&cursor=1767225600000001.1767225600000000.1", "cursor")]
    [InlineData("cursor=1767225600000001.1767225600000001.1767225600000000.1767225600000000.1", "cursor")]
    [InlineData("by=effective&cursor=1767225600000001.1767225600000001.1767225600000000.1767225600000001.1", "cursor")]
    [InlineData("by=effective&to=2100-01-01T00:00:00Z", "to")]
    [InlineData("cursor=1767225600000001.1767225600000000.1&to=2026-01-02T00:00:00Z", "cursor")]
    [InlineData("limit=10", "limit", true)]
    [InlineData("cursor=1767225600000001.1767225600000000.1", "cursor", true)]
    public async Task Invalid_parameter_is_named(string query, string field, bool isCsv = false)
    {
        var user = await system.NewUserAsync("1.00");
        var path = $"accounts/{await AccountAsync(user)}/entries?{query}";
        var answer = (isCsv ? await CsvAsync(user.Api, user.Token, path) : await user.GetAsync(path)).MustBe(400, "validation_failed");
        Assert.Equal(field, Assert.Single(answer.Json.GetProperty("errors").EnumerateObject()).Name);
    }

    [Theory]
    [InlineData("text/csv", true)]
    [InlineData("TEXT/CSV; charset=utf-8", true)]
    [InlineData("text/csv, */*;q=0.1", true)]
    [InlineData("application/json;q=0.5, text/csv", true)]
    [InlineData("application/json, text/csv", false)]
    [InlineData("application/json, text/csv;q=0.5", false)]
    [InlineData("text/csv;q=0", false)]
    [InlineData("*/*", false)]
    [InlineData("text/html", false)]
    [InlineData(",;;", false)]
    public async Task Accept_header_chooses_between_JSON_and_CSV(string accept, bool isCsv)
    {
        var user = await system.NewUserAsync("1.00");
        var answer = (await CsvAsync(user.Api, user.Token, $"accounts/{await AccountAsync(user)}/entries", accept)).MustBe(200);
        Assert.Equal(isCsv ? "text/csv" : "application/json", answer.ContentType);
        Assert.Contains("Accept", answer.Headers.Vary);
    }

    [Fact]
    public async Task CSV_has_every_entry_and_its_references_start_no_formula()
    {
        string[] references = ["=1+1", "+1", "-1", "@SUM(1)", "'quoted", "a, b", "say \"hi\"", "x;=1+1", " =1", "＝1", "plain", "ünï 💶"];
        string[] cells = ["'=1+1", "'+1", "'-1", "'@SUM(1)", "''quoted", "a, b", "say \"hi\"", "x;'=1+1", " '=1", "'＝1", "plain", "ünï 💶"];
        var user = await system.NewUserAsync();
        foreach (var reference in references)
            (await user.DepositAsync("1.00", reference: reference)).MustBe(201);
        var withdrawal = (await user.WithdrawAsync("2.00")).MustBe(201);
        var account = await AccountAsync(user);

        var csv = (await CsvAsync(user.Api, user.Token, $"accounts/{account}/entries")).MustBe(200).Text;

        var rows = RowsOf(csv);
        Assert.Equal(Header, string.Join(',', rows[0]));
        Assert.Equal(cells, rows[2..^2].Select(row => row[^1]));
        // Numbers stay numbers, also below zero.
        var time = DateTime.Parse(withdrawal["postedAt"]!, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal).ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);
        Assert.Equal($"{time},{time},{withdrawal.TransactionId},withdrawal,-2.00,10.00,USD,", string.Join(',', rows[^2]));
        Assert.EndsWith(",,,closing_balance,,10.00,USD,\r\n", csv, StringComparison.Ordinal);
    }

    // The main account in USD, the only account of a new user.
    internal static async Task<Guid> AccountAsync(LedgerUser user) =>
        (await user.GetAsync("accounts")).MustBe(200).Json.GetProperty("accounts").EnumerateArray().Single().GetProperty("id").GetGuid();

    internal static async Task<Answer> CsvAsync(LedgerApi api, string token, string path, string accept = "text/csv")
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/" + path);
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        Assert.True(request.Headers.TryAddWithoutValidation("Accept", accept));
        return await api.SendAsync(request);
    }

    private static JsonElement.ArrayEnumerator ItemsOf(Answer page) => page.Json.GetProperty("items").EnumerateArray();

    // All rows end with CRLF and have as many fields as the header.
    private static List<string[]> RowsOf(string csv)
    {
        Assert.EndsWith("\r\n", csv, StringComparison.Ordinal);
        var rows = StatementCsvTests.Parse(csv, ',').ToList();
        Assert.All(rows, row => Assert.Equal(8, row.Length));
        return rows;
    }
}
