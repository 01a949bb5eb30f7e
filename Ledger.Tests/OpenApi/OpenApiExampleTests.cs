using System.Text.Json;
using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.OpenApi;

/// <summary>The OpenAPI document has examples, and they work.</summary>
public sealed class OpenApiExampleTests(LedgerSystem system)
{
    [Fact]
    public async Task Every_operation_has_examples_of_its_body_and_responses()
    {
        foreach (var (name, operation) in await OperationsAsync())
        {
            if (operation.TryGetProperty("requestBody", out var body))
                Assert.True(HasExample(body), $"{name} has no example of its body.");
            foreach (var response in operation.GetProperty("responses").EnumerateObject())
                Assert.True(!response.Value.TryGetProperty("content", out _) || HasExample(response.Value), $"{name} has no example of {response.Name}.");
        }
    }

    [Fact]
    public async Task Examples_of_requests_work_unchanged()
    {
        var api = await system.ApiAsync();
        var operations = await OperationsAsync();

        foreach (var user in RequestsOf(operations["Register"]))
            Assert.True((await api.PostAsync("identity/register", user.GetRawText())).Status is 201 or 409, $"{user} cannot register.");
        var token = (await api.PostAsync("identity/login", RequestsOf(operations["Login"]).Single().GetRawText())).MustBe(200)["accessToken"];

        foreach (var (command, path) in new[] { ("Deposit", "deposits"), ("Withdraw", "withdrawals"), ("Transfer", "transfers") })
            MustHaveExampleFields(operations[command], (await api.PostAsync(path, RequestsOf(operations[command]).First().GetRawText(), token)).MustBe(201));
    }

    [Fact]
    public async Task Examples_for_service_accounts_and_operators_work_unchanged()
    {
        var (api, operations) = (await system.ApiAsync(), await OperationsAsync());
        var (op, key) = ((await system.NewOperatorAsync()).Token, (await system.NewServiceAsync(Scopes.Read, Scopes.Transactions)).Key);
        foreach (var user in RequestsOf(operations["Register"]))
            Assert.True((await api.PostAsync("identity/register", user.GetRawText())).Status is 201 or 409, $"{user} cannot register.");
        foreach (var account in RequestsOf(operations["OpenHouseAccount"]))
            Assert.True((await api.PostAsync("admin/accounts", account.GetRawText(), op)).Status is 201 or 409, $"{account} cannot be opened.");
        // What the examples spend.
        for (var i = 0; i < 3; i++)
            await SendAsync("Deposit", HttpMethod.Post, "deposits", 201);

        await SendAsync("Withdraw", HttpMethod.Post, "withdrawals", 201);
        await SendAsync("Transfer", HttpMethod.Post, "transfers", 201);
        var journal = await SendAsync("PostJournal", HttpMethod.Post, "transactions", 201);
        await SendAsync("Reverse", HttpMethod.Post, $"transactions/{journal.TransactionId}/reversal", 201);
        await SendAsync("Exchange", HttpMethod.Post, "exchanges", 201);
        await SendAsync("OpenAccount", HttpMethod.Post, "accounts", 201, 409);
        var accounts = (await api.GetAsync("accounts?onBehalfOf=alice@example.com", key)).MustBe(200).Json.GetProperty("accounts").EnumerateArray();
        var savings = accounts.Single(account => account.GetProperty("name").GetString() == "savings").GetProperty("id").GetString();
        await SendAsync("ChangeAccount", HttpMethod.Patch, $"accounts/{savings}", 200);
        MustHaveExampleFields(
            operations["SetCreditLimit"],
            (await api.SendAsync(HttpMethod.Put, $"admin/accounts/{savings}/limit", op, RequestsOf(operations["SetCreditLimit"]).Single().GetRawText())).MustBe(200));
        foreach (var (name, path, token) in new[]
        {
            ("ListTransactions", "transactions?onBehalfOf=alice@example.com", key), ("GetTransaction", $"transactions/{journal.TransactionId}", key),
            ("ListAccounts", "accounts?onBehalfOf=alice@example.com", key), ("GetAccount", $"accounts/{savings}?onBehalfOf=alice@example.com", key),
            ("ListHouseAccounts", "admin/accounts", op), ("GetAnyAccount", $"admin/accounts/{savings}", op), ("ListExchangePositions", "admin/exchange", op),
            ("GetPeriods", "admin/periods", op),
        })
            MustHaveExampleFields(operations[name], (await api.GetAsync(path, token)).MustBe(200));

        // The last example: the ones before it are for users, if there are any.
        async Task<Answer> SendAsync(string name, HttpMethod method, string path, params int[] statuses)
        {
            var answer = await api.SendAsync(method, path, key, RequestsOf(operations[name]).Last().GetRawText());
            Assert.True(statuses.Contains(answer.Status), $"{name}: {answer.Status} {answer.Text}");
            if (answer.Status < 300)
                MustHaveExampleFields(operations[name], answer);
            return answer;
        }
    }

    [Fact]
    public async Task Example_of_a_problem_has_the_fields_of_a_problem()
    {
        var api = await system.ApiAsync();
        var example = (await OperationsAsync())["Register"].GetProperty("responses").GetProperty("400").GetProperty("content")
            .GetProperty("application/problem+json").GetProperty("examples").GetProperty("validation_failed").GetProperty("value");

        var problem = (await api.PostAsync("identity/register", new { email = "nobody", password = "short" })).MustBe(400, "validation_failed").Json;

        Assert.Equal(example.EnumerateObject().Select(field => field.Name).Order(), problem.EnumerateObject().Select(field => field.Name).Order());
        foreach (var field in example.EnumerateObject().Where(field => field.Name != "traceId"))
            Assert.True(JsonElement.DeepEquals(field.Value, problem.GetProperty(field.Name)), $"The example's {field.Name} is not {problem}'s.");
        Assert.Equal(example.GetProperty("traceId").GetString()!.Length, problem.GetProperty("traceId").GetString()!.Length);
    }

    private async Task<Dictionary<string, JsonElement>> OperationsAsync() =>
        (await (await system.ApiAsync()).GetAsync("/openapi/v1.json")).MustBe(200).Json.GetProperty("paths").EnumerateObject()
            .SelectMany(path => path.Value.EnumerateObject())
            .ToDictionary(operation => operation.Value.GetProperty("operationId").GetString()!, operation => operation.Value);

    private static bool HasExample(JsonElement described) =>
        described.GetProperty("content").EnumerateObject().All(content =>
            content.Value.TryGetProperty("example", out _)
            || (content.Value.TryGetProperty("examples", out var examples) && examples.EnumerateObject().Any()));

    private static IEnumerable<JsonElement> RequestsOf(JsonElement operation) =>
        operation.GetProperty("requestBody").GetProperty("content").GetProperty("application/json").GetProperty("examples")
            .EnumerateObject().Select(example => example.Value.GetProperty("value"));

    private static void MustHaveExampleFields(JsonElement operation, Answer answer)
    {
        var example = operation.GetProperty("responses").GetProperty($"{answer.Status}").GetProperty("content").GetProperty("application/json").GetProperty("example");
        MustHaveFieldsOf(example, answer.Json, operation.GetProperty("operationId").GetString()!);
    }

    // Of an array, the first items.
    private static void MustHaveFieldsOf(JsonElement example, JsonElement answer, string where)
    {
        if (example.ValueKind == JsonValueKind.Object && answer.ValueKind == JsonValueKind.Object && !where.EndsWith(".metadata", StringComparison.Ordinal))
        {
            Assert.Equal($"{where}: {string.Join(' ', example.EnumerateObject().Select(field => field.Name))}", $"{where}: {string.Join(' ', answer.EnumerateObject().Select(field => field.Name))}");
            foreach (var field in example.EnumerateObject())
                MustHaveFieldsOf(field.Value, answer.GetProperty(field.Name), $"{where}.{field.Name}");
        }
        else if (example.ValueKind == JsonValueKind.Array && answer.ValueKind == JsonValueKind.Array && example.GetArrayLength() > 0 && answer.GetArrayLength() > 0)
            MustHaveFieldsOf(example[0], answer[0], $"{where}[0]");
    }
}
