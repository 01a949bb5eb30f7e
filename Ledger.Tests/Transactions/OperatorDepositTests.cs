using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Transactions;

/// <summary>Deposits on behalf of users, by operators and API keys.</summary>
public sealed class OperatorDepositTests(LedgerSystem system)
{
    [Fact]
    public async Task API_key_deposits_on_behalf_of_a_user_who_sees_the_deposit()
    {
        var key = await system.NewApiKeyAsync(Roles.Operator);
        var user = await system.NewUserAsync();
        var body = new { currency = "USD", amount = "12.34", reference = "salary", onBehalfOf = user.Email };

        var deposit = (await user.Api.PostAsync("deposits", body, key, ("Idempotency-Key", "salary-1"))).MustBe(201);
        var again = (await user.Api.PostAsync("deposits", body, key, ("Idempotency-Key", "salary-1"))).MustBe(201);

        Assert.True(again.IsReplay);
        Assert.Equal(deposit.TransactionId, again.TransactionId);
        Assert.Equal(12.34m, await user.BalanceAsync());
        (await user.TransactionAsync(deposit.TransactionId)).MustBe(200);
        // The API key can read the Location of its answer.
        (await user.Api.GetAsync(deposit.Location!, key)).MustBe(200);
        // Idempotency keys belong to the caller: the user's are separate.
        Assert.False((await user.DepositAsync("1.00", key: "salary-1")).MustBe(201).IsReplay);
        Assert.Equal(1, await Books.NumberAsync(await system.DatabaseAsync(),
            "select count(*) from ledger.transactions t join identity.service_keys k on k.service_id = t.principal_id where t.id = $1", deposit.TransactionId));
    }

    [Fact]
    public async Task Idempotency_keys_stay_when_a_service_rotates_its_API_key()
    {
        var user = await system.NewUserAsync();
        var service = $"payroll {Guid.NewGuid():N}";
        var (old, next) = (await NewKeyAsync(service), await NewKeyAsync(service));
        var body = new { currency = "USD", amount = "12.34", onBehalfOf = user.Id };

        var deposit = (await user.Api.PostAsync("deposits", body, old, ("Idempotency-Key", "k"))).MustBe(201);
        var again = (await user.Api.PostAsync("deposits", body, next, ("Idempotency-Key", "k"))).MustBe(201);

        Assert.Equal((true, deposit.TransactionId), (again.IsReplay, again.TransactionId));
        Assert.Equal(12.34m, await user.BalanceAsync());

        async Task<string> NewKeyAsync(string name)
        {
            var (exitCode, output, errors) = await Tool.RunAsync(
                "ledger", ["api-key", "create", "--role", "operator", "--name", name],
                new Dictionary<string, string?> { ["ConnectionStrings__ledgerdb"] = await system.ConnectionStringAsync() });
            Assert.True(exitCode == 0, string.Join('\n', errors));
            return output[^1];
        }
    }

    [Fact]
    public async Task Deposit_answered_202_is_readable_for_the_key_and_the_user()
    {
        var key = await system.NewApiKeyAsync(Roles.Operator);
        var user = await system.NewUserAsync();

        var accepted = (await user.Api.PostAsync(
            "deposits", new { currency = "USD", amount = "2.00", onBehalfOf = user.Id }, key, ("Prefer", "respond-async"), ("Idempotency-Key", "k"))).MustBe(202);

        (await user.Api.GetAsync(accepted.Location!, key)).MustBe(200);
        (await user.DecidedAsync(accepted.TransactionId)).MustBe(200);
        Assert.Equal(2m, await user.BalanceAsync());
    }

    [Theory]
    [InlineData("nobody@example.com", 422, "recipient_unknown")]
    [InlineData("01900000-0000-7000-8000-00000000dead", 422, "recipient_unknown")]
    [InlineData("no address", 400, "validation_failed")]
    public async Task Deposit_on_behalf_of_an_unknown_user_is_refused(string onBehalfOf, int status, string code)
    {
        var key = await system.NewApiKeyAsync(Roles.Operator);
        (await (await system.ApiAsync()).PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf }, key)).MustBe(status, code);
    }

    [Fact]
    public async Task Users_cannot_deposit_if_self_service_deposits_are_off()
    {
        using var api = await system.StartApiAsync(("Ledger__SelfServiceDeposits", "false"));
        var user = (await system.NewUserAsync()).At(api);
        var @operator = (await system.NewOperatorAsync()).At(api);
        var key = await system.NewApiKeyAsync(Roles.Operator);

        (await user.DepositAsync("1.00")).MustBe(403, "forbidden");
        (await @operator.DepositAsync("1.00")).MustBe(403, "forbidden");
        (await @operator.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Id })).MustBe(201);
        (await api.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Email }, key)).MustBe(201);
        Assert.Equal(2m, await user.BalanceAsync());
    }

    [Fact]
    public async Task User_cannot_deposit_on_behalf_of_a_user()
    {
        var victim = await system.NewUserAsync();
        var user = await system.NewUserAsync();

        (await user.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = victim.Id })).MustBe(403, "forbidden");
        (await user.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Id })).MustBe(403, "forbidden");
    }
}
