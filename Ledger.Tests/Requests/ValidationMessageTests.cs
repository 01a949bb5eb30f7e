using Ledger.Tests.Harness;

namespace Ledger.Tests.Requests;

/// <summary>A validation message says what was sent and what is wanted.</summary>
public sealed class ValidationMessageTests(LedgerSystem system)
{
    [Theory]
    // JSON values of the wrong type. The type is known from the message of an exception of the framework only.
    [InlineData("deposits", """{"currency":"USD","amount":100}""", "amount", "A number was sent", "takes a string", "\"12.34\"")]
    [InlineData("deposits", """{"currency":"USD","amount":true}""", "amount", "A boolean was sent", "takes a string")]
    [InlineData("deposits", """{"currency":"USD","amount":["1.00"]}""", "amount", "An array was sent", "takes a string")]
    [InlineData("deposits", """{"currency":"USD","amount":{"value":"1.00"}}""", "amount", "An object was sent", "takes a string")]
    [InlineData("deposits", """{"currency":840,"amount":"1.00"}""", "currency", "A number was sent", "takes a string", "ISO 4217")]
    [InlineData("deposits", """{"currency":"USD","amount":"1.00","metadata":"x"}""", "metadata", "takes an object of strings")]
    [InlineData("deposits", """{"currency":"USD","amount":"1.00","metadata":{"a":1}}""", "metadata.a", "A number was sent", "takes a string")]
    [InlineData("deposits", """{"currency":"USD","amount":"1.00","metadata":{"a b":{"c":"d"}}}""", "metadata['a b']", "An object was sent", "takes a string")]
    // Fields that do not exist.
    [InlineData("deposits", """{"currency":"USD","amount":"1.00","fee":"0.10"}""", "fee", "unknown", "currency, amount, reference, metadata, onBehalfOf")]
    [InlineData("deposits", """{"currency":"USD","amount":"1.00","a fee":"0.10"}""", "['a fee']", "unknown", "currency, amount")]
    // Values.
    [InlineData("deposits", """{"currency":"USD"}""", "amount", "Is required", "\"12.34\"")]
    [InlineData("deposits", """{"currency":"USD","amount":"1,50"}""", "amount", "\"1,50\"", "\"12.34\"")]
    [InlineData("deposits", """{"currency":"USD","amount":"0"}""", "amount", "\"0\"", "above zero")]
    [InlineData("deposits", """{"currency":"USD","amount":"1.001"}""", "amount", "\"1.001\"", "USD has 2")]
    [InlineData("deposits", """{"currency":"USD","amount":"1.00","metadata":{"a":null}}""", "metadata", "\"a\"", "null", "Must be a string")]
    [InlineData("deposits", """{"currency":"USD","amount":"1.00","metadata":{"a":"\u0000"}}""", "metadata", "\"a\"", "control characters")]
    [InlineData("transfers", """{"to":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","currency":"USD","amount":"1.00"}""", "to", "Has 256 characters", "at most 255")]
    [InlineData("transfers", """{"currency":"USD","amount":"1.00"}""", "to", "Is required", "a user id, an e-mail address, an external id, or the id of an account")]
    [InlineData("identity/register", """{"email":"bob","password":"short"}""", "email", "\"bob\" is not an e-mail address", "blanks")]
    [InlineData("identity/register", """{"email":"bob","password":"short"}""", "password", "Has 5 characters", "8 to 128")]
    [InlineData("identity/register", "{}", "password", "Is required", "8 to 128")]
    public async Task Message_says_what_was_sent_and_what_is_wanted(string path, string body, string field, params string[] parts)
    {
        var answer = await (await system.NewUserAsync()).PostAsync(path, body);
        Says(answer.MustBe(400, answer.Code), field, parts);
    }

    [Theory]
    [InlineData("transactions?kind=Deposit", "kind", "\"Deposit\"", "deposit, withdrawal, transfer")]
    [InlineData("transactions?status=done", "status", "\"done\"", "pending, posted, rejected")]
    [InlineData("transactions?currency=usd", "currency", "\"usd\"", "A to Z")]
    [InlineData("transactions?limit=5000", "limit", "\"5000\"", "1 to 1000")]
    [InlineData("transactions?limt=5", "limt", "unknown", "currency, kind, status, from, to", "limit", "onBehalfOf")]
    [InlineData("balances?at=x", "at", "unknown", "onBehalfOf")]
    [InlineData("balances/USD?at=yesterday", "at", "\"yesterday\"", "2026-01-31T12:00:00Z")]
    public async Task Message_about_a_parameter_says_what_was_sent_and_what_is_wanted(string path, string parameter, params string[] parts) =>
        Says((await (await system.NewUserAsync()).GetAsync(path)).MustBe(400, "validation_failed"), parameter, parts);

    [Theory]
    [InlineData("""{"code":"usd","name":"x","exponent":2}""", "code", "\"usd\"", "A to Z")]
    [InlineData("""{"code":"ABC","name":"x","exponent":"2"}""", "exponent", "A string was sent", "a whole number")]
    [InlineData("""{"code":"ABC","name":"x","exponent":13}""", "exponent", "13 was sent", "0 to 12")]
    [InlineData("""{"code":"ABC","name":"x"}""", "exponent", "Is required", "0 to 12")]
    public async Task Message_about_a_currency_says_what_was_sent_and_what_is_wanted(string body, string field, params string[] parts) =>
        Says((await (await system.NewOperatorAsync()).PostAsync("admin/currencies", body)).MustBe(400, "validation_failed"), field, parts);

    [Theory]
    [InlineData("usd", "\"usd\"", "upper case: USD")]
    [InlineData("NOPE", "\"NOPE\"", "GET /api/v1/currencies")]
    public async Task Unknown_currency_is_named(string currency, params string[] parts)
    {
        var answer = (await (await system.NewUserAsync()).DepositAsync("1.00", currency)).MustBe(422, "currency_unknown");
        Assert.All(parts, part => Assert.Contains(part, answer["detail"], StringComparison.Ordinal));
    }

    /// <summary>A message does not repeat a long value in full.</summary>
    [Fact]
    public async Task Long_value_is_shortened()
    {
        var answer = (await (await system.NewUserAsync()).TransferAsync(new string('b', 10_000), "1.00")).MustBe(400, "validation_failed");
        Assert.True(answer.Text.Length < 1_000, answer.Text);
    }

    private static void Says(Answer answer, string field, string[] parts)
    {
        Assert.True(answer.Json.GetProperty("errors").TryGetProperty(field, out var messages), answer.Text);
        var message = Assert.Single(messages.EnumerateArray()).GetString();
        Assert.All(parts, part => Assert.Contains(part, message, StringComparison.Ordinal));
    }
}
