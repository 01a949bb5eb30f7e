using System.Text.Json;
using Ledger.Core.Identity;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using Ledger.Tests.Posting;

namespace Ledger.Tests.Users;

/// <summary>Users that operators make without a password, change, find and close.</summary>
public sealed class UserResourceTests(LedgerSystem system)
{
    private static readonly TimeSpan Everywhere = TimeSpan.FromSeconds(5);

    [Fact]
    public async Task Created_user_is_read_found_and_paid()
    {
        var @operator = await system.NewOperatorAsync();
        var (externalId, email) = ($"customer-{Guid.NewGuid():N}", $"{Guid.NewGuid():N}@example.com");

        var created = (await @operator.PostAsync("users", new { externalId, email, name = "Zoë", metadata = new { plan = "basic" } })).MustBe(201);

        var id = created.Json.GetProperty("id").GetGuid();
        Assert.Equal($"/api/v1/users/{id}", created.Location);
        Assert.Equal((externalId, email, "Zoë", "False"), (created["externalId"], created["email"], created["name"], created["frozen"]));
        Assert.Equal("""{"plan":"basic"}""", created["metadata"]);
        foreach (var path in new[] { $"users?email={email.ToUpperInvariant()}", $"users?externalId={externalId}" })
            Assert.True(JsonElement.DeepEquals(created.Json, Assert.Single((await @operator.GetAsync(path)).MustBe(200).Json.GetProperty("items").EnumerateArray())), path);
        Assert.True(JsonElement.DeepEquals(created.Json, (await @operator.GetAsync($"users/{id}")).MustBe(200).Json));

        (await @operator.PostAsync("deposits", new { currency = "USD", amount = "5.00", onBehalfOf = email })).MustBe(201);
        (await (await system.NewUserAsync("1.00")).TransferAsync(email, "1.00")).MustBe(201);
        Assert.Equal(600, await PostedAsync(id));
    }

    [Fact]
    public async Task Service_account_creates_and_closes_users_and_neither_changes_nor_closes_staff()
    {
        var service = await system.NewServiceAsync(Scopes.Users);
        var id = (await service.PostAsync("users", new { name = "Ana" })).MustBe(201)["id"];
        (await service.Api.SendAsync(HttpMethod.Delete, $"users/{id}", service.Key)).MustBe(204);

        var auditor = await system.NewStaffAsync(Roles.Auditor);
        (await service.Api.SendAsync(HttpMethod.Patch, $"users/{auditor.Id}", service.Key, """{"email":"thief@example.com"}""")).MustBe(403, "forbidden");
        (await service.Api.SendAsync(HttpMethod.Delete, $"users/{auditor.Id}", service.Key)).MustBe(403, "forbidden");
        Assert.Equal(auditor.Email, (await auditor.GetAsync("identity/me")).MustBe(200)["email"]);
    }

    [Fact]
    public async Task User_without_any_field_can_be_created_and_cannot_log_in()
    {
        var @operator = await system.NewOperatorAsync();
        var bare = (await @operator.PostAsync("users", "{}")).MustBe(201);
        Assert.All((string[])["externalId", "email", "name", "metadata"], field => Assert.Equal(JsonValueKind.Null, bare.Json.GetProperty(field).ValueKind));

        var email = $"{Guid.NewGuid():N}@example.com";
        (await @operator.PostAsync("users", new { email })).MustBe(201);
        foreach (var password in (string[])["", "correct horse battery"])
            (await @operator.Api.PostAsync("identity/login", new { email, password })).MustBe(401, "invalid_credentials");
    }

    /// <summary>A registration proves no address, so it must not get the user, with its money, that an operator made for the address.</summary>
    [Fact]
    public async Task Address_of_a_created_user_cannot_be_registered()
    {
        var @operator = await system.NewOperatorAsync();
        var email = $"{Guid.NewGuid():N}@example.com";
        (await @operator.PostAsync("users", new { email })).MustBe(201);

        (await @operator.Api.PostAsync("identity/register", new { email = email.ToUpperInvariant(), password = LedgerApi.Password })).MustBe(409, "email_taken");
    }

    [Fact]
    public async Task Address_and_external_id_belong_to_one_user()
    {
        var @operator = await system.NewOperatorAsync();
        var registered = await system.NewUserAsync();
        var externalId = $"customer-{Guid.NewGuid():N}";
        var taken = $"josé-{Guid.NewGuid():N}@example.com";
        (await @operator.PostAsync("users", new { externalId, email = taken })).MustBe(201);
        var other = (await @operator.PostAsync("users", new { })).MustBe(201)["id"];

        // Composed and decomposed are one address.
        foreach (var email in new[] { registered.Email, registered.Email.ToUpperInvariant(), taken.Replace("é", "e\u0301", StringComparison.Ordinal) })
        {
            (await @operator.PostAsync("users", new { email })).MustBe(409, "email_taken");
            (await ChangeAsync(@operator, other, JsonSerializer.Serialize(new { email }))).MustBe(409, "email_taken");
        }
        (await @operator.PostAsync("users", new { externalId })).MustBe(409, "external_id_taken");
        (await ChangeAsync(@operator, other, JsonSerializer.Serialize(new { externalId }))).MustBe(409, "external_id_taken");

        var same = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => @operator.PostAsync("users", new { externalId = externalId + "-new" })));
        Assert.Single(same, answer => answer.Status == 201);
        Assert.All(same.Where(answer => answer.Status != 201), answer => answer.MustBe(409, "external_id_taken"));
    }

    [Fact]
    public async Task Change_leaves_absent_fields_and_removes_null_ones()
    {
        var @operator = await system.NewOperatorAsync();
        var (externalId, email) = ($"customer-{Guid.NewGuid():N}", $"{Guid.NewGuid():N}@example.com");
        var id = (await @operator.PostAsync("users", new { externalId, email, name = "Zoë", metadata = new { plan = "basic", since = "2026" } })).MustBe(201)["id"];

        var changed = (await ChangeAsync(@operator, id, """{"name":null,"metadata":{"plan":"gold","since":null,"region":"eu"}}""")).MustBe(200);

        Assert.Equal((externalId, email), (changed["externalId"], changed["email"]));
        Assert.Equal(JsonValueKind.Null, changed.Json.GetProperty("name").ValueKind);
        Assert.Equal("""{"plan":"gold","region":"eu"}""", changed["metadata"]);
        Assert.True(JsonElement.DeepEquals(changed.Json, (await @operator.GetAsync($"users/{id}")).MustBe(200).Json));

        var bare = (await ChangeAsync(@operator, id, """{"externalId":null,"email":null,"metadata":null}""")).MustBe(200);
        Assert.All((string[])["externalId", "email", "name", "metadata"], field => Assert.Equal(JsonValueKind.Null, bare.Json.GetProperty(field).ValueKind));
        // What was given up is free for another user.
        var next = (await @operator.PostAsync("users", new { externalId, email })).MustBe(201)["id"]!;
        (await (await system.NewUserAsync("1.00")).TransferAsync(email, "1.00")).MustBe(201);
        Assert.Equal((0, 100), (await PostedAsync(Guid.Parse(id!)), await PostedAsync(Guid.Parse(next))));
        (await ChangeAsync(@operator, id, "{}")).MustBe(200);
    }

    [Fact]
    public async Task Registered_user_logs_in_with_the_changed_address_only()
    {
        var @operator = await system.NewOperatorAsync();
        var user = await system.NewUserAsync();
        var email = $"{Guid.NewGuid():N}@example.com";

        (await ChangeAsync(@operator, user.Id.ToString(), JsonSerializer.Serialize(new { email }))).MustBe(200);

        (await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password })).MustBe(401, "invalid_credentials");
        var login = (await user.Api.PostAsync("identity/login", new { email, password = LedgerApi.Password })).MustBe(200);
        Assert.Equal(email, (await user.Api.GetAsync("identity/me", login["accessToken"])).MustBe(200)["email"]);
    }

    [Theory]
    [InlineData("""{"email":"nobody"}""", "email")]
    [InlineData("""{"email":""}""", "email")]
    [InlineData("""{"externalId":""}""", "externalId")]
    [InlineData("""{"externalId":"a\tb"}""", "externalId")]
    [InlineData("""{"externalId":"carol@example.com"}""", "externalId")]
    [InlineData("""{"name":""}""", "name")]
    [InlineData("""{"metadata":{"":"x"}}""", "metadata")]
    [InlineData("""{"password":"correct horse battery"}""", "password")]
    [InlineData("""{"externalId":7}""", "externalId")]
    public async Task Field_that_does_not_fit_is_refused(string body, string field)
    {
        var @operator = await system.NewOperatorAsync();
        var id = (await @operator.PostAsync("users", new { name = "Zoë" })).MustBe(201)["id"];

        foreach (var answer in new[] { await @operator.PostAsync("users", body), await ChangeAsync(@operator, id, body) })
            Assert.True(answer.MustBe(400, "validation_failed").Json.GetProperty("errors").TryGetProperty(field, out _), answer.Text);
        Assert.Equal("Zoë", (await @operator.GetAsync($"users/{id}")).MustBe(200)["name"]);
    }

    [Fact]
    public async Task Users_are_paged_newest_first()
    {
        var @operator = await system.NewOperatorAsync();
        var ids = new List<string>();
        for (var i = 0; i < 3; i++)
            ids.Add((await @operator.PostAsync("users", new { })).MustBe(201)["id"]!);

        var seen = new List<string>();
        string? cursor = null;
        do
        {
            var page = (await @operator.GetAsync($"users?limit=100{(cursor is null ? "" : $"&cursor={cursor}")}")).MustBe(200);
            seen.AddRange(page.Json.GetProperty("items").EnumerateArray().Select(user => user.GetProperty("id").GetString()!));
            cursor = page["nextCursor"];
        }
        while (cursor is { Length: > 0 } && !ids.TrueForAll(seen.Contains));

        Assert.Equal(ids.AsEnumerable().Reverse(), seen.Where(ids.Contains));
        Assert.Equal(seen.Distinct(), seen);
        (await @operator.GetAsync("users?limit=0&cursor=x&email=nobody&externalId=")).MustBe(400, "validation_failed");
    }

    [Fact]
    public async Task Users_are_for_operators_only()
    {
        var user = await system.NewUserAsync();
        foreach (var caller in new[] { user, await system.NewStaffAsync(Roles.Auditor) })
        {
            (await caller.PostAsync("users", "{}")).MustBe(403, "forbidden");
            (await caller.GetAsync("users")).MustBe(403, "forbidden");
            (await caller.GetAsync($"users/{user.Id}")).MustBe(403, "forbidden");
            (await ChangeAsync(caller, user.Id.ToString(), "{}")).MustBe(403, "forbidden");
            (await CloseAsync(caller, user.Id)).MustBe(403, "forbidden");
        }
        (await user.GetAsync("balances")).MustBe(200);
    }

    [Fact]
    public async Task Closed_user_has_no_personal_data_no_login_and_no_payment_and_keeps_its_books()
    {
        var apis = await system.ApisAsync();
        var database = await system.DatabaseAsync();
        var @operator = await system.NewOperatorAsync();
        var user = await system.NewUserAsync("7.00");
        var refresh = (await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password })).MustBe(200)["refreshToken"];
        (await ChangeAsync(@operator, user.Id.ToString(), JsonSerializer.Serialize(new { externalId = $"{user.Id:N}", name = "Zoë", metadata = new { plan = "basic" } }))).MustBe(200);
        (await CloseAsync(@operator, user.Id)).MustBe(409, "balance_not_zero");
        (await user.GetAsync("balances")).MustBe(200);
        (await user.WithdrawAsync("7.00")).MustBe(201);

        (await CloseAsync(@operator, user.Id)).MustBe(204);

        foreach (var api in apis)
            await Eventually.RefusedAsync(Everywhere, () => user.At(api).GetAsync("balances"));
        (await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password })).MustBe(401, "invalid_credentials");
        (await user.Api.PostAsync("identity/refresh", new { refreshToken = refresh })).MustBe(401, "invalid_token");
        Assert.Equal(1, await Books.NumberAsync(database, """
            select count(*) from identity.users where id = $1 and closed_at is not null and num_nonnulls(user_name, normalized_user_name, email,
                normalized_email, password_hash, security_stamp, phone_number, external_id, name, metadata) = 0
            """, user.Id));
        Assert.Equal(0, await Books.NumberAsync(
            database, "select count(*) from ledger.accounts where owner_id = $1 and (status <> 'closed' or name <> id::text or metadata is not null)", user.Id));
        Assert.Equal(2, await Books.NumberAsync(database, "select count(*) from ledger.transactions where owner_id = $1 and status = 'posted'", user.Id));

        // In a currency in which it had an account, and in one in which it had none.
        var friend = await system.NewUserAsync("1.00");
        (await friend.DepositAsync("1.00", "EUR")).MustBe(201);
        (await friend.TransferAsync(user.Id.ToString(), "1.00")).MustBe(422, "recipient_unknown");
        (await friend.TransferAsync(user.Id.ToString(), "1.00", "EUR")).MustBe(422, "recipient_unknown");
        (await friend.TransferAsync(user.Email, "1.00")).MustBe(422, "recipient_unknown");
        foreach (var currency in (string[])["USD", "EUR"])
            (await @operator.PostAsync("deposits", new { currency, amount = "1.00", onBehalfOf = user.Id })).MustBe(422, "recipient_unknown");

        foreach (var answer in new[] { await @operator.GetAsync($"users/{user.Id}"), await ChangeAsync(@operator, user.Id.ToString(), """{"name":"Zoë"}""") })
            answer.MustBe(404, "not_found");
        Assert.Empty((await @operator.GetAsync($"users?externalId={user.Id:N}")).MustBe(200).Json.GetProperty("items").EnumerateArray());
        (await @operator.Api.SendAsync(HttpMethod.Put, $"admin/users/{user.Id}/roles/auditor", @operator.Token)).MustBe(404, "not_found");
        (await CloseAsync(@operator, user.Id)).MustBe(204);
        (await CloseAsync(@operator, Guid.CreateVersion7())).MustBe(404, "not_found");
        Assert.Equal(JsonValueKind.Null, (await @operator.GetAsync($"admin/users/{user.Id}")).MustBe(200).Json.GetProperty("email").ValueKind);
        Assert.Equal(2, (await @operator.GetAsync($"admin/users/{user.Id}/transactions?status=posted")).MustBe(200).Json.GetProperty("items").GetArrayLength());

        // The address is free again, for a user without the old one's books.
        (await user.Api.PostAsync("identity/register", new { email = user.Email, password = LedgerApi.Password })).MustBe(201);
        (await friend.TransferAsync(user.Email, "1.00")).MustBe(201);
        Assert.Equal(0, await PostedAsync(user.Id));
    }

    [Fact]
    public async Task Creation_change_and_closing_are_audited_without_personal_data()
    {
        var @operator = await system.NewOperatorAsync();
        var id = (await @operator.PostAsync("users", new { name = "Zoë", email = $"{Guid.NewGuid():N}@example.com" })).MustBe(201)["id"];
        (await ChangeAsync(@operator, id, """{"name":null,"externalId":null}""")).MustBe(200);
        (await CloseAsync(@operator, Guid.Parse(id!))).MustBe(204);
        (await CloseAsync(@operator, Guid.Parse(id!))).MustBe(204);

        var trail = (await @operator.GetAsync($"admin/audit?subject={id}&actor={@operator.Id}")).MustBe(200);
        var acts = trail.Json.GetProperty("items").EnumerateArray().ToList();
        Assert.Equal([AuditActions.UserClosed, AuditActions.UserChanged, AuditActions.UserCreated], acts.Select(act => act.GetProperty("action").GetString()));
        Assert.Equal("externalId, name", acts[1].GetProperty("details").GetProperty("fields").GetString());
        Assert.DoesNotContain("Zoë", trail.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task User_with_a_hold_or_a_pending_command_is_not_closed()
    {
        var @operator = await system.NewOperatorAsync();
        var database = await system.DatabaseAsync();
        var user = (await @operator.PostAsync("users", new { })).MustBe(201).Json.GetProperty("id").GetGuid();
        await Books.ExecuteAsync(database, """
            insert into ledger.pending_commands (id, principal_id, owner_id, version, kind, currency, created_at, command, due_at)
            select $1, $2, $2, 1, 'deposit', 'USD', now(), json_build_object('id', $1::uuid, 'principalId', $2::uuid, 'ownerId', $2::uuid, 'kind', 'deposit'), 'infinity'
            """, Guid.CreateVersion7(), user);
        (await CloseAsync(@operator, user)).MustBe(409, "balance_not_zero");
        await Books.ExecuteAsync(database, "delete from ledger.pending_commands where owner_id = $1", user);

        var market = await Market.OpenAsync(database, users: 1);
        await using (var connection = await database.OpenConnectionAsync(TestContext.Current.CancellationToken))
            await new Ledger.Core.Posting.PostingEngine().PostAsync(connection, [market.Deposit(market.Users[0], 5)], TestContext.Current.CancellationToken);
        var hold = await Holding.OpenAsync(market, market.Users[0], 5);
        await using (var connection = await database.OpenConnectionAsync(TestContext.Current.CancellationToken))
        {
            var decisions = await new Ledger.Core.Posting.PostingEngine().PostAsync(connection, [market.Withdrawal(market.Users[0], 5)], TestContext.Current.CancellationToken);
            Assert.Equal(RejectionCodes.InsufficientFunds, decisions[0].Outcome!.Rejection?.Code);
        }
        (await CloseAsync(@operator, market.Users[0])).MustBe(409, "balance_not_zero");
        await Holding.ChangeAsync(market, hold, "voided", -5);
        (await CloseAsync(@operator, market.Users[0])).MustBe(409, "balance_not_zero");

        (await CloseAsync(@operator, user)).MustBe(204);
    }

    /// <summary>Both with a first account and with one that is there: the money arrives, or the user is closed.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Close_during_a_deposit_has_exactly_one_outcome(bool hasAccount)
    {
        const int Rounds = 20;
        var apis = await system.ApisAsync();
        var database = await system.DatabaseAsync();
        var @operator = await system.NewOperatorAsync();
        var (closed, paid) = (0, 0);
        for (var round = 0; round < Rounds; round++)
        {
            var user = (await @operator.PostAsync("users", new { })).MustBe(201).Json.GetProperty("id").GetGuid();
            if (hasAccount)
            {
                await Books.ExecuteAsync(
                    database, "insert into ledger.accounts (id, kind, owner_id, name, currency) values ($1, 'user', $2, 'main', 'USD')", Guid.CreateVersion7(), user);
            }

            // A closing is faster than a deposit, which goes by the queue: several deposits give it something to meet.
            var deposits = Enumerable.Range(0, round % 4 + 1).Select(_ =>
                @operator.At(apis[round % 2]).PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user })).ToList();
            if (round % 5 == 0)
                await deposits[0];
            var close = await CloseAsync(@operator.At(apis[(round + 1) % 2]), user);
            var answers = await Task.WhenAll(deposits);

            if (close.Status == 204)
            {
                closed++;
                Assert.All(answers, answer => Assert.True(answer.MustBe(422).Code is "recipient_unknown" or "account_closed", answer.Text));
                Assert.Equal(0, await PostedAsync(user));
            }
            else
            {
                paid++;
                close.MustBe(409, "balance_not_zero");
                Assert.All(answers, answer => answer.MustBe(201));
                Assert.Equal(100 * answers.Length, await PostedAsync(user));
            }
        }
        Assert.True(closed + paid == Rounds && paid > 0, $"{closed} closed, {paid} paid");
        Assert.Equal(0, await Books.NumberAsync(database, """
            select count(*) from ledger.accounts a join identity.users u on u.id = a.owner_id
            where u.closed_at is not null and (a.status <> 'closed' or a.posted <> 0 or a.held <> 0)
            """));
    }

    /// <summary>The deposit's batch has opened the account and is about to commit when the closing starts, and the other way round.</summary>
    [Fact]
    public async Task Close_waits_for_a_batch_that_opens_an_account_and_a_batch_for_the_close()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 2);
        await using var first = await market.Database.OpenConnectionAsync(TestContext.Current.CancellationToken);

        // A batch has locked the owner and opened the account, but not committed.
        await using (var batch = await first.BeginTransactionAsync(TestContext.Current.CancellationToken))
        {
            await ExecuteAsync(first, $"select identity.lock_owners(array['{market.Users[0]}'::uuid])");
            await ExecuteAsync(first, $"insert into ledger.accounts (id, kind, owner_id, name, currency) values (gen_random_uuid(), 'user', '{market.Users[0]}', 'main', '{market.Currency}')");
            var close = CloseInDatabaseAsync(market, market.Users[0]);
            await Eventually.TrueAsync(async () => await IsBlockedAsync(market, first.ProcessID));
            Assert.False(close.IsCompleted);
            await batch.CommitAsync(TestContext.Current.CancellationToken);
            Assert.Equal("changed", await close);
        }
        // The account that was opened meanwhile is closed with its owner.
        Assert.Equal(0, await Books.NumberAsync(market.Database, "select count(*) from ledger.accounts where owner_id = $1 and status <> 'closed'", market.Users[0]));

        await using (var closing = await first.BeginTransactionAsync(TestContext.Current.CancellationToken))
        {
            await ExecuteAsync(first, $"select identity.close_user('{market.Users[1]}', '{await ManagerAsync(market)}')");
            var deposit = Task.Run(async () =>
            {
                await using var connection = await market.Database.OpenConnectionAsync();
                return await new Ledger.Core.Posting.PostingEngine().PostAsync(connection, [market.Deposit(market.Users[1], 5)], CancellationToken.None);
            }, TestContext.Current.CancellationToken);
            await Eventually.TrueAsync(async () => await IsBlockedAsync(market, first.ProcessID));
            await closing.CommitAsync(TestContext.Current.CancellationToken);
            Assert.Equal(RejectionCodes.RecipientUnknown, (await deposit)[0].Outcome!.Rejection?.Code);
        }
    }

    [Fact]
    public async Task Database_opens_no_account_for_a_closed_user()
    {
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 1);
        Assert.Equal("changed", await CloseInDatabaseAsync(market, market.Users[0]));

        var e = await Assert.ThrowsAsync<Npgsql.PostgresException>(() => Books.ExecuteAsync(
            market.Database, "insert into ledger.accounts (id, kind, owner_id, name, currency) values (gen_random_uuid(), 'user', $1, 'main', $2)", market.Users[0], market.Currency));

        Assert.Equal("accounts_of_open_users", e.ConstraintName);
    }

    private static async Task<string> CloseInDatabaseAsync(Market market, Guid user) =>
        Assert.Single(await Books.TextsAsync(market.Database, "select identity.close_user($1, $2)", user, await ManagerAsync(market)));

    // A service account with scope users.
    private static async Task<Guid> ManagerAsync(Market market)
    {
        var id = Guid.CreateVersion7();
        await Books.ExecuteAsync(market.Database, "insert into identity.services (id, name, scopes) values ($1, $1::text, '{users}')", id);
        return id;
    }

    private static async Task<bool> IsBlockedAsync(Market market, int by) => await Books.NumberAsync(
        market.Database, "select count(*) from pg_stat_activity where $1 = any (pg_blocking_pids(pid))", by) > 0;

    private static async Task ExecuteAsync(Npgsql.NpgsqlConnection connection, string sql)
    {
        await using var command = new Npgsql.NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }

    private async Task<long> PostedAsync(Guid user) => await Books.NumberAsync(
        await system.DatabaseAsync(), "select coalesce(sum(posted), 0)::bigint from ledger.accounts where owner_id = $1", user);

    private static Task<Answer> ChangeAsync(LedgerUser caller, string? user, string json) =>
        caller.Api.SendAsync(HttpMethod.Patch, $"users/{user}", caller.Token, json);

    private static Task<Answer> CloseAsync(LedgerUser caller, Guid user) => caller.Api.SendAsync(HttpMethod.Delete, $"users/{user}", caller.Token);
}
