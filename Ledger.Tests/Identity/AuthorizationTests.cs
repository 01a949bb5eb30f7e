using System.Text;
using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Identity;

/// <summary>Every operation of the OpenAPI document, called without the right to: API1, API3 and API5 of the OWASP API Security Top 10.</summary>
public sealed class AuthorizationTests(LedgerSystem system)
{
    private static readonly HashSet<string> Public =
    [
        "POST /api/v1/identity/register", "POST /api/v1/identity/login", "POST /api/v1/identity/refresh", "GET /api/v1/currencies",
    ];

    // Where a service account that names no user reads or moves something.
    private static readonly Dictionary<string, string[]> ScopesOf = new()
    {
        ["GET /api/v1/balances"] = [Scopes.Read],
        ["GET /api/v1/balances/{currency}"] = [Scopes.Read],
        ["GET /api/v1/transactions"] = [Scopes.Read],
        ["GET /api/v1/transactions/{id}"] = [Scopes.Read, Scopes.Transactions],
        ["GET /api/v1/events"] = [Scopes.Read],
        ["GET /api/v1/accounts/{id}/entries"] = [Scopes.Read],
        ["POST /api/v1/deposits"] = [Scopes.Transactions],
        ["POST /api/v1/withdrawals"] = [Scopes.Transactions],
        ["POST /api/v1/transfers"] = [Scopes.Transactions],
        ["GET /api/v1/accounts"] = [Scopes.Read],
        ["GET /api/v1/accounts/{id}"] = [Scopes.Read],
        ["POST /api/v1/accounts"] = [Scopes.Transactions],
        ["PATCH /api/v1/accounts/{id}"] = [Scopes.Transactions],
        ["DELETE /api/v1/accounts/{id}"] = [Scopes.Transactions],
        ["POST /api/v1/transactions"] = [Scopes.Transactions],
        ["POST /api/v1/exchanges"] = [Scopes.Transactions],
        ["POST /api/v1/transactions/{id}/reversal"] = [Scopes.Transactions],
        ["POST /api/v1/users"] = [Scopes.Users],
        ["GET /api/v1/users"] = [Scopes.Users],
        ["GET /api/v1/users/{userId}"] = [Scopes.Users],
        ["PATCH /api/v1/users/{userId}"] = [Scopes.Users],
        ["DELETE /api/v1/users/{userId}"] = [Scopes.Users],
    };

    // Acts of operators, which auditors may not call.
    private static bool IsAct(Operation operation) => operation.Path.StartsWith("/api/v1/admin", StringComparison.Ordinal) && operation.Method != HttpMethod.Get;

    private static bool IsAdministration(Operation operation) => operation.Path.StartsWith("/api/v1/admin", StringComparison.Ordinal);

    // For callers who manage users.
    private static bool IsOfUsers(Operation operation) => operation.Path.StartsWith("/api/v1/users", StringComparison.Ordinal);

    // For service accounts and operators, who move everybody's money.
    private static readonly HashSet<string> ForMovers =
    [
        "POST /api/v1/transactions", "POST /api/v1/exchanges", "POST /api/v1/transactions/{id}/reversal",
    ];

    [Fact]
    public async Task Operations_that_are_not_public_refuse_anonymous_requests()
    {
        foreach (var operation in await OperationsAsync())
        {
            if (Public.Contains(operation.Name))
                continue;
            (await CallAsync(operation, null)).MustBe(401, "unauthenticated");
            (await CallAsync(operation, "not-a-token")).MustBe(401, "invalid_token");
        }
    }

    [Fact]
    public async Task Public_operations_are_in_the_document() =>
        Assert.Superset(Public, (await OperationsAsync()).Select(operation => operation.Name).ToHashSet());

    [Fact]
    public async Task User_cannot_administer_or_move_money_of_others()
    {
        var user = await system.NewUserAsync();
        var operations = (await OperationsAsync())
            .Where(operation => IsAdministration(operation) || IsOfUsers(operation) || ForMovers.Contains(operation.Name)).ToList();
        Assert.True(operations.Count >= 10);
        foreach (var operation in operations)
            (await CallAsync(operation, user.Token)).MustBe(403, "forbidden");
    }

    [Fact]
    public async Task Auditor_can_read_and_cannot_act()
    {
        var auditor = await system.NewStaffAsync(Roles.Auditor);
        foreach (var operation in (await OperationsAsync()).Where(operation => IsAdministration(operation) || IsOfUsers(operation)))
        {
            var answer = await CallAsync(operation, auditor.Token);
            if (IsAct(operation) || IsOfUsers(operation))
                answer.MustBe(403, "forbidden");
            else
                Assert.True(answer.Status is 200 or 404, $"{operation.Name} answered an auditor {answer.Status}: {answer.Text}");
        }
    }

    [Fact]
    public async Task Service_account_calls_only_operations_of_its_scopes()
    {
        var operations = (await OperationsAsync()).Where(operation => !Public.Contains(operation.Name)).ToList();
        Assert.Superset(ScopesOf.Keys.ToHashSet(), operations.Select(operation => operation.Name).ToHashSet());
        foreach (var scopes in (string[][])[[], [Scopes.Read], [Scopes.Users], [Scopes.Transactions], [Scopes.Webhooks], [.. Scopes.All]])
        {
            var service = await system.NewServiceAsync(scopes);
            foreach (var operation in operations)
            {
                var answer = await CallAsync(operation, service.Key);
                if (ScopesOf.GetValueOrDefault(operation.Name, []).Intersect(scopes).Any())
                    Assert.True(answer.Status is 200 or 201 or 400 or 404, $"{operation.Name} answered a service account with {string.Join(' ', scopes)} {answer.Status}: {answer.Text}");
                else
                    answer.MustBe(403, "forbidden");
            }
        }
    }

    [Theory]
    [InlineData("update identity.service_keys set revoked_at = clock_timestamp() where service_id = $1")]
    [InlineData("update identity.service_keys set expires_at = clock_timestamp() where service_id = $1")]
    [InlineData("update identity.services set closed_at = clock_timestamp() where id = $1")]
    public async Task Operations_refuse_a_key_that_is_revoked_or_expired_or_of_a_closed_service_account(string sql)
    {
        var service = await system.NewServiceAsync([.. Scopes.All]);
        await Books.ExecuteAsync(await system.DatabaseAsync(), sql, service.Id);
        foreach (var operation in (await OperationsAsync()).Where(operation => !Public.Contains(operation.Name)))
            (await CallAsync(operation, service.Key)).MustBe(401, "invalid_token");
    }

    [Fact]
    public async Task Transaction_of_another_service_account_is_not_found()
    {
        var (service, other) = (await system.NewServiceAsync(Scopes.Transactions), await system.NewServiceAsync([.. Scopes.All]));
        var user = await system.NewUserAsync("1.00");
        var deposit = (await service.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = user.Id })).MustBe(201).TransactionId;

        (await other.GetAsync($"transactions/{deposit}")).MustBe(404, "not_found");
    }

    [Fact]
    public async Task Resource_of_another_user_is_not_found()
    {
        var owner = await system.NewUserAsync("10.00");
        var deposit = (await owner.DepositAsync("1.00")).MustBe(201);
        var stranger = await system.NewUserAsync("5.00");
        var account = (await owner.GetAsync("accounts")).MustBe(200).Json.GetProperty("accounts")[0].GetProperty("id").GetString();

        foreach (var operation in (await OperationsAsync()).Where(operation => operation.Path.Contains("{id", StringComparison.Ordinal) && !IsAdministration(operation)))
        {
            foreach (var id in new[] { deposit.TransactionId.ToString(), account!, owner.Id.ToString(), Guid.CreateVersion7().ToString() })
            {
                var answer = await CallAsync(operation with { Path = operation.Path.Replace("{id}", id, StringComparison.Ordinal) }, stranger.Token);
                if (ForMovers.Contains(operation.Name))
                    answer.MustBe(403, "forbidden");
                else
                    answer.MustBe(404, "not_found");
            }
        }
        Assert.DoesNotContain(deposit.TransactionId.ToString(), (await stranger.GetAsync("transactions?limit=1000")).MustBe(200).Text);
        Assert.Equal(5m, await stranger.BalanceAsync());
        Assert.Equal(11m, await owner.BalanceAsync());
    }

    [Theory]
    [InlineData("deposits", """{"currency":"USD","amount":"1.00","ownerId":"$"}""")]
    [InlineData("deposits", """{"currency":"USD","amount":"1.00","callerId":"$"}""")]
    [InlineData("withdrawals", """{"currency":"USD","amount":"1.00","principalId":"$"}""")]
    [InlineData("withdrawals", """{"currency":"USD","amount":"1.00","from":"$"}""")]
    [InlineData("transfers", """{"to":"$","currency":"USD","amount":"1.00","from":"$"}""")]
    [InlineData("transfers", """{"to":"$","currency":"USD","amount":"1.00","accountId":"$"}""")]
    [InlineData("deposits", """{"currency":"USD","amount":"1.00","status":"posted","id":"$"}""")]
    public async Task Field_that_names_another_user_is_refused_and_moves_no_money(string path, string body)
    {
        var victim = await system.NewUserAsync("10.00");
        var attacker = await system.NewUserAsync("10.00");

        (await attacker.PostAsync(path, body.Replace("$", victim.Id.ToString(), StringComparison.Ordinal))).MustBe(400, "validation_failed");

        Assert.Equal((10m, 10m), (await victim.BalanceAsync(), await attacker.BalanceAsync()));
    }

    [Theory]
    [InlineData("roles", """["operator"]""")]
    [InlineData("role", "\"operator\"")]
    [InlineData("emailConfirmed", "true")]
    [InlineData("id", "\"01900000-0000-7000-8000-000000000001\"")]
    public async Task Registration_cannot_set_roles_or_ids(string field, string value)
    {
        var email = $"{Guid.NewGuid():N}@example.com";
        var body = $$"""{"email":"{{email}}","password":"{{LedgerApi.Password}}","{{field}}":{{value}}}""";

        (await (await system.ApiAsync()).PostAsync("identity/register", body)).MustBe(400, "validation_failed");
    }

    private async Task<IReadOnlyList<Operation>> OperationsAsync()
    {
        var paths = (await (await system.ApiAsync()).GetAsync("/openapi/v1.json")).MustBe(200).Json.GetProperty("paths");
        return
        [
            .. paths.EnumerateObject().SelectMany(path => path.Value.EnumerateObject().Select(operation =>
                new Operation(new HttpMethod(operation.Name.ToUpperInvariant()), path.Name, operation.Value.TryGetProperty("requestBody", out _)))),
        ];
    }

    private async Task<Answer> CallAsync(Operation operation, string? token)
    {
        var path = System.Text.RegularExpressions.Regex.Replace(operation.Path, @"\{(\w+)\}", match => match.Groups[1].Value switch
        {
            "currency" or "code" => "USD",
            "sequence" => "9223372036854775807",
            _ => "01900000-0000-7000-8000-000000000001",
        });
        using var request = new HttpRequestMessage(operation.Method, path);
        if (token is not null)
            request.Headers.TryAddWithoutValidation("Authorization", $"Bearer {token}");
        if (operation.HasBody)
            request.Content = new StringContent("{}", Encoding.UTF8, "application/json");
        return await (await system.ApiAsync()).SendAsync(request);
    }

    private sealed record Operation(HttpMethod Method, string Path, bool HasBody)
    {
        public string Name => $"{Method} {Path}";
    }
}
