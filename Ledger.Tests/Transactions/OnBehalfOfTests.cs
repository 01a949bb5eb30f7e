using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Transactions;

/// <summary>Commands and reads on behalf of users, by service accounts, operators and auditors.</summary>
public sealed class OnBehalfOfTests(LedgerSystem system)
{
    private static readonly string[] s_reads = ["balances", "balances/USD", "transactions", "transactions/{id}", "events"];

    [Fact]
    public async Task Service_moves_and_reads_the_money_of_users_that_it_names_by_id_email_or_external_id()
    {
        var service = await system.NewServiceAsync(Scopes.Transactions, Scopes.Read);
        var (alice, bob) = (await system.NewUserAsync(), await system.NewUserAsync());
        var external = $"customer {Guid.NewGuid()}";
        await Books.ExecuteAsync(await system.DatabaseAsync(), "update identity.users set external_id = $2 where id = $1", alice.Id, external);

        (await service.PostAsync("deposits", new { currency = "USD", amount = "10.00", onBehalfOf = external })).MustBe(201);
        (await service.PostAsync("withdrawals", new { currency = "USD", amount = "2.00", onBehalfOf = alice.Email.ToUpperInvariant() })).MustBe(201);
        var transfer = (await service.PostAsync("transfers", new { to = bob.Email, currency = "USD", amount = "3.00", onBehalfOf = alice.Id })).MustBe(201);
        (await service.PostAsync("transfers", new { to = external, currency = "USD", amount = "1.00", onBehalfOf = bob.Id })).MustBe(201);

        Assert.Equal((6m, 2m), (await alice.BalanceAsync(), await bob.BalanceAsync()));
        // The answer shows what the user sees: the entry on its own account.
        Assert.Equal("5.00", Assert.Single(transfer.Json.GetProperty("entries").EnumerateArray()).GetProperty("balanceAfter").GetString());
        foreach (var user in new[] { external, alice.Email, alice.Id.ToString() })
        {
            var name = Uri.EscapeDataString(user);
            Assert.Equal(6m, (await service.GetAsync($"balances/USD?onBehalfOf={name}")).MustBe(200).AmountOf("posted"));
            Assert.Equal(4, (await service.GetAsync($"transactions?onBehalfOf={name}")).MustBe(200).Json.GetProperty("items").GetArrayLength());
            foreach (var path in s_reads)
            {
                var own = path.Replace("{id}", transfer.TransactionId.ToString(), StringComparison.Ordinal);
                Assert.Equal((await alice.GetAsync(own)).MustBe(200).Json.EnumerateObject().Select(field => field.Name), (await service.GetAsync($"{own}?onBehalfOf={name}")).MustBe(200).Json.EnumerateObject().Select(field => field.Name));
            }
        }
        Assert.Equal(4, await Books.NumberAsync(await system.DatabaseAsync(), "select count(*) from ledger.transactions where principal_id = $1", service.Id));
    }

    [Fact]
    public async Task Service_reads_its_own_commands_without_the_scope_to_read_and_another_service_does_not()
    {
        var (service, other) = (await system.NewServiceAsync(Scopes.Transactions), await system.NewServiceAsync(Scopes.Transactions, Scopes.Read));
        var user = await system.NewUserAsync();
        var deposit = (await service.PostAsync("deposits", new { currency = "USD", amount = "5.00", metadata = new { order = "7" }, onBehalfOf = user.Id })).MustBe(201);

        Assert.Equal($"/api/v1/transactions/{deposit.TransactionId}", deposit.Location);
        var read = (await service.Api.GetAsync(deposit.Location!, service.Key)).MustBe(200);
        Assert.Equal(deposit.Json.GetProperty("entries").GetRawText(), read.Json.GetProperty("entries").GetRawText());
        Assert.Equal(deposit.Json.GetProperty("metadata").GetRawText(), read.Json.GetProperty("metadata").GetRawText());

        (await other.GetAsync($"transactions/{deposit.TransactionId}")).MustBe(404, "not_found");
        (await other.GetAsync($"transactions/{deposit.TransactionId}?onBehalfOf={user.Id}")).MustBe(200);
        (await other.GetAsync($"transactions/{deposit.TransactionId}?onBehalfOf={(await system.NewUserAsync()).Id}")).MustBe(404, "not_found");
        // What the user did itself is not the service's.
        var own = (await user.DepositAsync("1.00")).MustBe(201).TransactionId;
        (await service.GetAsync($"transactions/{own}")).MustBe(404, "not_found");
    }

    [Theory]
    [InlineData(Scopes.Read, 200, 403)]
    [InlineData(Scopes.Transactions, 403, 201)]
    [InlineData(Scopes.Users, 403, 403)]
    [InlineData(Scopes.Webhooks, 403, 403)]
    [InlineData(null, 403, 403)]
    public async Task Service_does_what_its_scope_says_and_nothing_else(string? scope, int reads, int moves)
    {
        var service = await system.NewServiceAsync(scope is null ? [] : [scope]);
        var (user, friend) = (await system.NewUserAsync("10.00"), await system.NewUserAsync());
        var deposit = (await user.DepositAsync("1.00")).MustBe(201).TransactionId;

        foreach (var path in s_reads)
            Must(reads, await service.GetAsync($"{path.Replace("{id}", deposit.ToString(), StringComparison.Ordinal)}?onBehalfOf={user.Id}"));
        Must(moves, await service.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Id }));
        Must(moves, await service.PostAsync("withdrawals", new { currency = "USD", amount = "1.00", onBehalfOf = user.Id }));
        Must(moves, await service.PostAsync("transfers", new { to = friend.Id, currency = "USD", amount = "1.00", onBehalfOf = user.Id }));
        foreach (var path in new[] { "admin/users", "admin/services", "admin/audit", "identity/me" })
            (await service.GetAsync(path)).MustBe(403, "forbidden");

        Assert.Equal((moves == 201 ? 10m : 11m, moves == 201 ? 1m : 0m), (await user.BalanceAsync(), await friend.BalanceAsync()));

        static void Must(int status, Answer answer) => answer.MustBe(status, status == 403 ? "forbidden" : null);
    }

    [Fact]
    public async Task Service_that_names_no_user_is_told_to()
    {
        var service = await system.NewServiceAsync(Scopes.Transactions, Scopes.Read);
        var answers = new List<Answer>
        {
            await service.PostAsync("deposits", new { currency = "USD", amount = "1.00" }),
            await service.PostAsync("withdrawals", new { currency = "USD", amount = "1.00" }),
            await service.PostAsync("transfers", new { to = "unknown@example.com", currency = "USD", amount = "1.00" }),
            await service.GetAsync("balances"),
            await service.GetAsync("balances/USD"),
            await service.GetAsync("transactions"),
        };

        foreach (var answer in answers)
        {
            var errors = answer.MustBe(400, "validation_failed").Json.GetProperty("errors").GetProperty("onBehalfOf");
            Assert.StartsWith("Is required from a service account", Assert.Single(errors.EnumerateArray()).GetString(), StringComparison.Ordinal);
        }
        Assert.Equal(0, await Books.RowsOfAsync(await system.DatabaseAsync(), service.Id));
    }

    [Theory]
    [InlineData("unknown@example.com")]
    [InlineData("01900000-0000-7000-8000-00000000dead")]
    [InlineData("3fa85f64-5717-4562-b3fc-2c963f66afa6")]
    [InlineData("an external id that no user has")]
    public async Task Service_that_names_an_unknown_user_is_told(string onBehalfOf)
    {
        var service = await system.NewServiceAsync(Scopes.Transactions, Scopes.Read);

        (await service.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf })).MustBe(422, "recipient_unknown");
        foreach (var path in (string[])["balances", "balances/USD", "transactions", "events"])
            Assert.Contains("onBehalfOf", (await service.GetAsync($"{path}?onBehalfOf={Uri.EscapeDataString(onBehalfOf)}")).MustBe(404, "not_found")["detail"], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("a\0b")]
    [InlineData(null)]
    public async Task Name_that_no_user_can_have_is_refused(string? onBehalfOf)
    {
        onBehalfOf ??= new string('x', 256);
        var service = await system.NewServiceAsync(Scopes.Transactions, Scopes.Read);

        (await service.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf })).MustBe(400, "validation_failed");
        (await service.GetAsync($"balances?onBehalfOf={Uri.EscapeDataString(onBehalfOf)}")).MustBe(400, "validation_failed");
    }

    [Fact]
    public async Task User_acts_on_behalf_of_no_one_not_even_of_itself()
    {
        var (user, victim) = (await system.NewUserAsync("10.00"), await system.NewUserAsync("10.00"));
        foreach (var id in new[] { victim.Id, user.Id })
        {
            (await user.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = id })).MustBe(403, "forbidden");
            (await user.PostAsync("withdrawals", new { currency = "USD", amount = "1.00", onBehalfOf = id })).MustBe(403, "forbidden");
            (await user.PostAsync("transfers", new { to = user.Email, currency = "USD", amount = "1.00", onBehalfOf = id })).MustBe(403, "forbidden");
            foreach (var path in s_reads)
                (await user.GetAsync($"{path.Replace("{id}", Guid.CreateVersion7().ToString(), StringComparison.Ordinal)}?onBehalfOf={id}")).MustBe(403, "forbidden");
        }
        Assert.Equal((10m, 10m), (await user.BalanceAsync(), await victim.BalanceAsync()));
    }

    [Fact]
    public async Task Operator_moves_and_reads_and_auditor_reads_on_behalf_of_a_user()
    {
        var (@operator, auditor) = (await system.NewOperatorAsync(), await system.NewStaffAsync(Roles.Auditor));
        var user = await system.NewUserAsync("10.00");

        var withdrawal = (await @operator.PostAsync("withdrawals", new { currency = "USD", amount = "4.00", onBehalfOf = user.Email })).MustBe(201);
        (await @operator.Api.GetAsync(withdrawal.Location!, @operator.Token)).MustBe(200);
        (await auditor.PostAsync("withdrawals", new { currency = "USD", amount = "4.00", onBehalfOf = user.Email })).MustBe(403, "forbidden");

        foreach (var staff in new[] { @operator, auditor })
        {
            Assert.Equal(6m, (await staff.GetAsync($"balances/USD?onBehalfOf={user.Id}")).MustBe(200).AmountOf("posted"));
            (await staff.GetAsync($"transactions/{withdrawal.TransactionId}?onBehalfOf={user.Id}")).MustBe(200);
        }
        // Operators and auditors read any transaction, also without the user's name.
        (await auditor.GetAsync($"transactions/{withdrawal.TransactionId}")).MustBe(200);
    }

    [Fact]
    public async Task Idempotency_keys_and_the_outcome_stay_when_a_service_rotates_its_API_key()
    {
        var service = await system.NewServiceAsync(Scopes.Transactions);
        var user = await system.NewUserAsync("20.00");
        var rotated = service with { Key = await system.NewKeyAsync(service.Id) };
        var body = new { currency = "USD", amount = "12.34", onBehalfOf = user.Id };

        foreach (var (path, prefer) in new[] { ("withdrawals", "wait=10"), ("deposits", "respond-async") })
        {
            var first = await service.PostAsync(path, body, ("Idempotency-Key", path), ("Prefer", prefer));
            Assert.True(first.Status is 201 || (prefer == "respond-async" && first.Status == 202), first.Text);
            await user.DecidedAsync(first.TransactionId);
            // The same user by another name means the same.
            var again = (await rotated.PostAsync(path, new { body.currency, body.amount, onBehalfOf = user.Email }, ("Idempotency-Key", path))).MustBe(201);

            Assert.Equal((true, first.TransactionId), (again.IsReplay, again.TransactionId));
            Assert.Single(again.Json.GetProperty("entries").EnumerateArray());
            (await rotated.PostAsync(path, new { body.currency, amount = "1.00", body.onBehalfOf }, ("Idempotency-Key", path))).MustBe(422, "idempotency_key_reused");
            // Another service account, and the user, have keys of their own.
            Assert.False((await (await system.NewServiceAsync(Scopes.Transactions)).PostAsync("deposits", body, ("Idempotency-Key", path))).MustBe(201).IsReplay);
        }
        Assert.Equal(20m + (2 * 12.34m), await user.BalanceAsync());
    }

    [Fact]
    public async Task Command_answered_202_is_readable_for_the_service_and_the_user()
    {
        var service = await system.NewServiceAsync(Scopes.Transactions);
        var user = await system.NewUserAsync();

        var accepted = await service.PostAsync(
            "deposits", new { currency = "USD", amount = "2.00", onBehalfOf = user.Id }, ("Prefer", "respond-async"), ("Idempotency-Key", "k"));

        // 201 if the worker was faster than the read behind the answer.
        Assert.True(accepted.Status is 201 or 202, accepted.Text);
        (await service.Api.GetAsync(accepted.Location!, service.Key)).MustBe(200);
        (await user.DecidedAsync(accepted.TransactionId)).MustBe(200);
        Assert.Equal(2m, await user.BalanceAsync());
    }

    [Fact]
    public async Task Rejected_command_is_the_users_and_the_services()
    {
        var service = await system.NewServiceAsync(Scopes.Transactions);
        var user = await system.NewUserAsync("1.00");

        var rejected = (await service.PostAsync("withdrawals", new { currency = "USD", amount = "2.00", onBehalfOf = user.Id })).MustBe(422, "insufficient_funds");

        Assert.Equal("1.00", rejected["available"]);
        Assert.Equal("rejected", (await service.GetAsync($"transactions/{rejected.TransactionId}")).MustBe(200).TransactionStatus);
        Assert.Equal("rejected", (await user.TransactionAsync(rejected.TransactionId)).MustBe(200).TransactionStatus);
    }

    [Fact]
    public async Task Service_cannot_transfer_from_a_user_to_the_same_user()
    {
        var service = await system.NewServiceAsync(Scopes.Transactions);
        var user = await system.NewUserAsync("1.00");

        var refused = (await service.PostAsync("transfers", new { to = user.Email, currency = "USD", amount = "1.00", onBehalfOf = user.Id })).MustBe(400, "validation_failed");

        Assert.Equal("to", Assert.Single(refused.Json.GetProperty("errors").EnumerateObject()).Name);
    }

    [Fact]
    public async Task Users_cannot_deposit_if_self_service_deposits_are_off()
    {
        using var api = await system.StartApiAsync(("Ledger__SelfServiceDeposits", "false"));
        var user = (await system.NewUserAsync()).At(api);
        var @operator = (await system.NewOperatorAsync()).At(api);
        var service = await system.NewServiceAsync(Scopes.Transactions);

        (await user.DepositAsync("1.00")).MustBe(403, "forbidden");
        (await @operator.DepositAsync("1.00")).MustBe(403, "forbidden");
        (await @operator.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Id })).MustBe(201);
        (await api.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Email }, service.Key)).MustBe(201);
        Assert.Equal(2m, await user.BalanceAsync());
    }
}
