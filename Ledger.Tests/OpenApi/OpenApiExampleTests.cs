using System.Text.Json;
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
        {
            var answer = (await api.PostAsync(path, RequestsOf(operations[command]).Single().GetRawText(), token)).MustBe(201);
            Assert.Equal(FieldsOf(operations[command].GetProperty("responses").GetProperty("201")), answer.Json.EnumerateObject().Select(field => field.Name));
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

    private static IEnumerable<string> FieldsOf(JsonElement response) =>
        response.GetProperty("content").GetProperty("application/json").GetProperty("example").EnumerateObject().Select(field => field.Name);
}
