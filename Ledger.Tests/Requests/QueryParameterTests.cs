using Ledger.Tests.Harness;

namespace Ledger.Tests.Requests;

/// <summary>Unknown and repeated query parameters are refused, like unknown and repeated fields of a body.</summary>
public sealed class QueryParameterTests(LedgerSystem system)
{
    [Theory]
    [InlineData("GET", "transactions?limt=5", "limt")]
    [InlineData("GET", "transactions?limit=5&Kinds=deposit", "Kinds")]
    [InlineData("GET", "balances?at=2026-01-31T12:00:00Z", "at")]
    [InlineData("GET", "balances/USD?currency=EUR", "currency")]
    [InlineData("GET", "identity/me?x", "x")]
    [InlineData("GET", "currencies?=x", "")]
    [InlineData("POST", "deposits?currency=USD", "currency")]
    public async Task Unknown_query_parameter_is_refused_and_named(string method, string path, string parameter)
    {
        var user = await system.NewUserAsync();

        var answer = (method == "GET" ? await user.GetAsync(path) : await user.PostAsync(path, new { currency = "USD", amount = "1.00" })).MustBe(400, "validation_failed");

        Assert.Equal(parameter, Assert.Single(answer.Json.GetProperty("errors").EnumerateObject()).Name);
        Assert.Equal(0, await Books.RowsOfAsync(await system.DatabaseAsync(), user.Id));
    }

    [Theory]
    [InlineData("transactions?limit=1&limit=2", "limit")]
    [InlineData("transactions?limit=5&limit=5", "limit")]
    [InlineData("transactions?limit=1&currency=USD&LIMIT=2", "limit")]
    [InlineData("transactions?kind=deposit&kind=withdrawal", "kind")]
    [InlineData("transactions?cursor&cursor=", "cursor")]
    public async Task Repeated_query_parameter_is_refused_and_named(string path, string parameter)
    {
        var answer = (await (await system.NewUserAsync()).GetAsync(path)).MustBe(400, "validation_failed");

        var error = Assert.Single(answer.Json.GetProperty("errors").EnumerateObject());
        Assert.Equal(parameter, error.Name, ignoreCase: true);
        Assert.Contains("more than once", Assert.Single(error.Value.EnumerateArray()).GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Authorization_comes_before_the_check_of_the_query()
    {
        var user = await system.NewUserAsync();
        (await user.Api.GetAsync("transactions?limt=5")).MustBe(401, "unauthenticated");
        (await user.GetAsync("admin/users?limt=5")).MustBe(403, "forbidden");
        (await user.GetAsync("transactions?LIMIT=5")).MustBe(200);
        (await user.GetAsync("transactions?")).MustBe(200);
    }
}
